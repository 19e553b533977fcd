package redisstate_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/redisstate"
)

// TestEmptied empties Redis beneath a running process: no user is taken for a new one, which would send somebody who was switched to
// the source (I3), no record is made, and no node counts as alive. Also once another process has filled the store anew.
func TestEmptied(t *testing.T) {
	r := server(t)
	c := raw(t, r)
	s := open(t, r.URL())
	ctx := t.Context()
	n, err := s.Join(ctx, "n", time.Hour)
	if err == nil {
		_, err = s.Offer(ctx, "alice")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "bob"); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("a user who was never known: %v", err)
	}
	replaced := func(when string) {
		t.Helper()
		for what, do := range map[string]func() error{
			"get a known user":    func() error { _, err := s.Get(ctx, "alice"); return err },
			"get an unknown user": func() error { _, err := s.Get(ctx, "bob"); return err },
			"offer":               func() error { _, err := s.Offer(ctx, "bob"); return err },
			"due":                 func() error { _, err := s.Due(ctx, 10); return err },
			"list":                func() error { _, err := s.List(ctx, state.Pending, "", 10); return err },
			"join":                func() error { _, err := s.Join(ctx, "m", time.Hour); return err },
			"beat":                func() error { return s.Beat(ctx, n, time.Hour) },
			"live":                func() error { _, err := s.Live(ctx); return err },
			"inbox":               func() error { _, err := s.Inbox(ctx, n); return err },
		} {
			if err := do(); !errors.Is(err, state.ErrReplaced) && (what != "list" || err != nil) {
				t.Errorf("%s: %s: %v", when, what, err)
			}
		}
	}
	if err := c.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	replaced("emptied")
	if left, err := c.Keys(ctx, "*").Result(); err != nil || len(left) > 0 {
		t.Errorf("an emptied store was written to: %v (%v)", left, err)
	}
	other := open(t, r.URL())
	if _, err := other.Offer(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	replaced("filled anew")
}

// TestRestored gives Redis back what it held: the process goes on.
func TestRestored(t *testing.T) {
	r := server(t)
	c := raw(t, r)
	s := open(t, r.URL())
	if _, err := s.Offer(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	held := map[string]string{}
	keys, err := c.Keys(t.Context(), "*").Result()
	for _, k := range keys {
		if err == nil {
			held[k], err = c.Dump(t.Context(), k).Result()
		}
	}
	if err == nil {
		err = c.FlushAll(t.Context()).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "alice"); !errors.Is(err, state.ErrReplaced) {
		t.Fatalf("emptied: %v", err)
	}
	for k, v := range held {
		if err := c.Restore(t.Context(), k, 0, v).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(t.Context(), "alice"); err != nil {
		t.Errorf("restored: %v", err)
	}
}

// TestShardLost takes away one shard, as a lost master of a Cluster would: nobody opens such a store, and its users are not new.
func TestShardLost(t *testing.T) {
	r := server(t)
	c := raw(t, r)
	s := open(t, r.URL())
	if _, err := s.Offer(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	record, err := c.Keys(t.Context(), "ferry:*:user:bob").Result()
	if err != nil || len(record) != 1 {
		t.Fatalf("bob is in %v (%v)", record, err)
	}
	shardOfBob, _, _ := strings.Cut(record[0], "user:")
	lost, err := c.Keys(t.Context(), shardOfBob+"*").Result()
	if err != nil || len(lost) < 2 {
		t.Fatalf("bob's shard has %v (%v)", lost, err)
	}
	if err := c.Del(t.Context(), lost...).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "bob"); !errors.Is(err, state.ErrReplaced) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Get(t.Context(), "alice"); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("get from a shard that is whole: %v", err)
	}
	_, err = redisstate.Open(t.Context(), r.URL(), redisstate.Options{})
	if err == nil || !strings.Contains(err.Error(), "shard "+shardOfBob[len("ferry:{"):len("ferry:{00")]) {
		t.Errorf("open: %v", err)
	}
}

// TestOpenAtOnce opens a new store from many processes: all agree what it is.
func TestOpenAtOnce(t *testing.T) {
	r := server(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := redisstate.Open(t.Context(), r.URL(), redisstate.Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.NotSwitched(t.Context(), []string{"alice"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestOpenHalfDone takes over from a process that died while it opened a new store.
func TestOpenHalfDone(t *testing.T) {
	r := server(t)
	c := raw(t, r)
	for _, k := range []string{"ferry:{nodes}:id", "ferry:{00}:id", "ferry:{01}:id"} {
		v := "some"
		if k == "ferry:{nodes}:id" {
			v = "fresh:some"
		}
		if err := c.Set(t.Context(), k, v, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	open(t, r.URL())
	if v, err := c.Get(t.Context(), "ferry:{nodes}:id").Result(); v != "some" {
		t.Errorf("the id is %q (%v)", v, err)
	}
	if v, err := c.Get(t.Context(), "ferry:{63}:id").Result(); v != "some" {
		t.Errorf("the last shard's id is %q (%v)", v, err)
	}
}

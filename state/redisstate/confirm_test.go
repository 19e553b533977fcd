package redisstate_test

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/redisstate"
)

// short reports whether err says that too few replicas have confirmed, and is none of the contract's.
func short(err error) bool {
	for _, c := range []error{state.ErrUnknown, state.ErrBusy, state.ErrLost, state.ErrPhase, state.ErrFenced, state.ErrReplaced, state.ErrInvalid} {
		if errors.Is(err, c) {
			return false
		}
	}
	return err != nil && strings.Contains(err.Error(), "only 0 of 1 replicas confirmed within")
}

// While its replica is silent, a master answers and nothing counts. A read is no exception, although there is nothing that the replica
// has not confirmed when it comes. Listings are: operators look at them to see what is wrong.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	s, f := newSentinel(t, 1)
	store := f.open(t)
	ctx := t.Context()
	n, err := store.Join(ctx, "n", time.Hour)
	must(t, err)
	_, err = store.Offer(ctx, "alice")
	must(t, err)
	must(t, s.Servers[1].Freeze())
	countsNothing(t, store, n)
	if page, err := store.List(ctx, state.Pending, "", 10); err != nil || len(page) < 1 {
		t.Errorf("list: %v, %v", page, err)
	}
	if counts, err := store.Counts(ctx); err != nil || counts[state.Pending] < 1 {
		t.Errorf("counts: %v, %v", counts, err)
	}
	_, err = store.Due(ctx, 10)
	must(t, err)
	must(t, s.Servers[1].Thaw())
	until(t, "the replica has caught up", func() bool { _, err := store.Get(ctx, "alice"); return err == nil })
	must(t, store.Beat(ctx, n, time.Hour))
}

// Nothing was written that a replica lacks when it falls silent, so the master has nothing to wait for; to read all the same does not count.
func TestUnconfirmedRead(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	opts := testbed.RedisOptions{AppendOnly: true, ExtraConfig: "repl-ping-replica-period 3600"}
	s, err := testbed.ForTest(t).RedisSentinel(testbed.SentinelOptions{Redis: opts})
	must(t, err)
	store := openWith(t, s.Servers[0].URL(), redisstate.Options{Confirm: 1})
	_, err = store.Offer(t.Context(), "alice")
	must(t, err)
	for _, r := range s.Sentinels {
		must(t, r.Freeze()) // what they publish goes to replicas too
	}
	until(t, "the replica has all", func() bool {
		offsets := regexp.MustCompile(`offset[=:](\d+)`).FindAllStringSubmatch(replication(t, s.Servers[0]), 2) // the replica's, the master's
		return len(offsets) == 2 && offsets[0][1] == offsets[1][1]
	})
	must(t, s.Servers[1].Freeze())
	if _, err := store.Get(t.Context(), "alice"); !short(err) {
		t.Errorf("get: %v", err)
	}
}

// countsNothing asks for everything that must be confirmed.
func countsNothing(t *testing.T, s *redisstate.Store, n state.Node) {
	t.Helper()
	var all sync.WaitGroup
	for what, do := range map[string]func(ctx context.Context) error{
		"get":            func(ctx context.Context) error { _, err := s.Get(ctx, "alice"); return err },
		"get of nobody":  func(ctx context.Context) error { _, err := s.Get(ctx, "bob"); return err },
		"offer":          func(ctx context.Context) error { _, err := s.Offer(ctx, "alice"); return err },
		"offer of a new": func(ctx context.Context) error { _, err := s.Offer(ctx, "carol"); return err },
		"acquire":        func(ctx context.Context) error { _, _, err := s.Acquire(ctx, "alice", "v", time.Hour); return err },
		"claim":          func(ctx context.Context) error { _, err := s.Claim(ctx, "alice", []string{"t"}); return err },
		"folders":        func(ctx context.Context) error { _, err := s.Folders(ctx, "alice"); return err },
		"join":           func(ctx context.Context) error { _, err := s.Join(ctx, "m", time.Hour); return err },
		"beat":           func(ctx context.Context) error { return s.Beat(ctx, n, time.Hour) },
		"live":           func(ctx context.Context) error { _, err := s.Live(ctx); return err },
		"inbox":          func(ctx context.Context) error { _, err := s.Inbox(ctx, n); return err },
		"waiting":        func(ctx context.Context) error { _, err := s.Waiting(ctx, "alice", "x"); return err },
	} {
		all.Go(func() {
			if err := do(t.Context()); !short(err) {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	all.Wait()
}

// What was done, and not confirmed, is confirmed when it is repeated: then it does not count before the replica has it.
func TestConfirmedLate(t *testing.T) {
	t.Parallel()
	s, f := newSentinel(t, 1)
	store := f.open(t)
	must(t, s.Servers[1].Freeze())
	for range 2 { // the second finds it done
		if _, err := store.Offer(t.Context(), "alice"); !short(err) {
			t.Fatalf("offer: %v", err)
		}
	}
	must(t, s.Servers[1].Thaw())
	until(t, "the replica has it", func() bool { _, err := store.Offer(t.Context(), "alice"); return err == nil })
}

// A Redis without replicas confirms nothing, and says so in time although the caller sets no deadline.
func TestUnconfirmedInTime(t *testing.T) {
	t.Parallel()
	r := startStandalone(t)
	start := time.Now()
	_, err := redisstate.Open(t.Context(), r.url, redisstate.Options{Confirm: 1, Log: slog.New(slog.DiscardHandler)})
	if !short(err) || time.Since(start) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

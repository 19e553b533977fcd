package redisstate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/redisstate"
	"imapferry/state/statetest"
)

// A master is replaced under a store that writes without end. The store goes on at the new one, what counted is there (I7), and hints
// come again.
func TestFailover(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(t *testing.T) (f *fleet, replace func())
	}{
		{"sentinel, killed", func(t *testing.T) (*fleet, func()) {
			s, f := newSentinel(t, 1)
			return f, func() {
				old := s.Master()
				must(t, old.Kill())
				now, err := s.NewMaster(old)
				must(t, err)
				must(t, old.Start())
				must(t, s.Follow(old, now))
			}
		}},
		{"sentinel, on demand", func(t *testing.T) (*fleet, func()) {
			s, f := newSentinel(t, 1)
			return f, func() {
				_, err := s.Replace(s.Master())
				must(t, err)
			}
		}},
		{"cluster, killed", func(t *testing.T) (*fleet, func()) {
			_, f := newCluster(t)
			return f, func() { f.failover(t) }
		}},
		{"cluster, on demand", func(t *testing.T) (*fleet, func()) {
			k, f := newCluster(t)
			return f, func() { must(t, k.Promote(3)) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f, replace := c.start(t)
			failsOver(t, f.open(t), replace)
		})
	}
}

func failsOver(t *testing.T, s *redisstate.Store, replace func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	counted := make(chan []string)
	go func() { counted <- offersWithoutEnd(ctx, s) }()
	changes := s.Watch(t.Context())
	replace()
	after := 0
	until(t, "the store goes on", func() bool {
		if statetest.Accept(t.Context(), s) != nil {
			return false
		}
		if _, err := s.Offer(t.Context(), fmt.Sprintf("after%d", after)); err != nil {
			return false
		}
		after++
		return after == 100 // in all shards, so at all masters
	})
	stop()
	users := <-counted
	if len(users) == 0 {
		t.Error("nothing counted")
	}
	for _, u := range users {
		until(t, "what counted is told", func() bool { // a replica that is late confirms nothing
			_, err := s.Get(t.Context(), u)
			if errors.Is(err, state.ErrUnknown) {
				t.Fatalf("of %d users that counted %s is gone", len(users), u)
			}
			return err == nil
		})
	}
	hears(t, s, changes, "after1")
}

// hears returns when a change of user's is told.
func hears(t *testing.T, s *redisstate.Store, changes <-chan string, user string) {
	t.Helper()
	until(t, "a change is told", func() bool {
		if err := s.Tally(t.Context(), user, 1, nil); err != nil {
			return false
		}
		for {
			select {
			case u := <-changes:
				if u == user {
					return true
				}
			case <-time.After(20 * time.Millisecond):
				return false
			}
		}
	})
}

// offersWithoutEnd returns the users whose offer succeeded.
func offersWithoutEnd(ctx context.Context, s *redisstate.Store) (users []string) {
	for i := 0; ctx.Err() == nil; i++ {
		u := fmt.Sprintf("user%d", i)
		if _, err := s.Offer(ctx, u); err == nil {
			users = append(users, u)
		}
	}
	return users
}

// Somebody makes another server the master while the old one lives on, without its replicas: it never breaks a connection, and refuses
// to write, or confirms nothing. The store finds the new one all the same, at once if nothing was run, and hears what changes there.
func TestMasterLeftBehind(t *testing.T) {
	for _, c := range []struct{ name, config, says string }{
		{"refuses", "min-replicas-to-write 1", ""}, {"does not confirm", "", "only 0 of 1 replicas"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testbed.Need(t, "redis-server")
			opts := testbed.RedisOptions{AppendOnly: true, ExtraConfig: c.config}
			s, err := testbed.ForTest(t).RedisSentinel(testbed.SentinelOptions{Redis: opts, Replicas: 2})
			must(t, err)
			store := openWith(t, s.URL(), redisstate.Options{Confirm: 1})
			changes := store.Watch(t.Context())
			_, err = openWith(t, s.URL(), redisstate.Options{Confirm: 2}).Offer(t.Context(), "alice") // now the next master has all
			must(t, err)
			hears(t, store, changes, "alice")
			next := strings.Split(s.Servers[1].Addr(), ":")
			do := func(r *testbed.Redis, args ...string) {
				t.Helper()
				_, err := r.Do(args...)
				must(t, err)
			}
			for _, r := range s.Sentinels { // else they would make it a replica again
				do(r, "SENTINEL", "REMOVE", testbed.MasterName)
			}
			do(s.Servers[1], "REPLICAOF", "NO", "ONE")
			do(s.Servers[2], "REPLICAOF", next[0], next[1])
			for _, r := range s.Sentinels {
				do(r, "SENTINEL", "MONITOR", testbed.MasterName, next[0], next[1], "2")
			}
			until(t, "the replicas have changed sides", func() bool {
				return strings.Contains(replication(t, s.Servers[0]), "connected_slaves:0") && strings.Contains(replication(t, s.Servers[1]), "state=online")
			})
			if c.says != "" {
				if _, err := store.Offer(t.Context(), "bob"); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("by the old master: %v", err)
				}
			}
			if _, err = store.Offer(t.Context(), "bob"); !errors.Is(err, state.ErrUntrusted) {
				t.Errorf("by the new master, which may lack switches: %v", err)
			}
			trust(t, store)
			_, err = store.Offer(t.Context(), "bob")
			must(t, err)
			hears(t, store, changes, "bob")
			if v, err := s.Servers[1].Do("EXISTS", "ferry:{"+shardOf(t, &fleet{servers: s.Servers[1:2]}, "bob")+"}:user:bob"); v != int64(1) {
				t.Errorf("bob is not at the new master: %v, %v", v, err)
			}
		})
	}
}

func replication(t *testing.T, r *testbed.Redis) string {
	t.Helper()
	v, err := r.Do("INFO", "replication")
	must(t, err)
	return v.(string)
}

// A master that the others have deposed, and that answers all the same, leads nobody to the source and takes no write that counts (I3).
func TestDeposedMaster(t *testing.T) {
	t.Parallel()
	s, f := newSentinel(t, 2) // one for the new master
	store := f.open(t)
	ctx := t.Context()
	_, err := store.Offer(ctx, "alice")
	must(t, err)
	old := s.Master()
	direct := openWith(t, old.URL(), redisstate.Options{Confirm: 1})
	n, err := direct.Join(ctx, "n", time.Hour)
	must(t, err)
	must(t, old.Freeze())
	_, err = s.NewMaster(old)
	must(t, err)
	trust(t, store)
	var l state.Lease
	until(t, "the new master's replica confirms", func() bool {
		l, _, err = store.Acquire(ctx, "alice", "w", time.Hour)
		return err == nil
	})
	for _, p := range []state.Phase{state.Copying, state.Tailing} {
		until(t, "alice is "+p.String(), func() bool {
			rec, err := store.Advance(ctx, l, p, state.Change{})
			return err == nil && rec.Phase == p
		})
	}
	for _, r := range s.Sentinels {
		must(t, r.Freeze()) // they would tell it
	}
	must(t, old.Thaw())
	countsNothing(t, direct, n)
	rec, err := store.Get(ctx, "alice")
	if err != nil || rec.Phase != state.Tailing {
		t.Errorf("asked by the Sentinels' word: %+v, %v", rec, err)
	}
}

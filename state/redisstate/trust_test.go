package redisstate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/redisstate"
)

// poster is a node that posts.
type poster struct {
	*testing.T
	s *redisstate.Store
	state.Node
}

func newPoster(t *testing.T, s *redisstate.Store, name string) poster {
	t.Helper()
	return poster{t, s, join(t, s, name, time.Hour)}
}

func (p poster) post(roster ...string) {
	p.Helper()
	d := doubt(p.T, p.s)
	must(p.T, p.s.Ready(p.Context(), p.Name, d, roster))
	must(p.T, p.s.Post(p.Context(), p.Node, d))
}

func doubt(t *testing.T, s *redisstate.Store) state.Doubt {
	t.Helper()
	d, err := s.Doubt(t.Context())
	must(t, err)
	return d
}

func wantMissing(t *testing.T, s *redisstate.Store, unready, missing string) {
	t.Helper()
	d := doubt(t, s)
	if d.Untrusted != (missing != "") || strings.Join(d.Missing, " ") != missing || strings.Join(d.Unready, " ") != unready {
		t.Errorf("%+v; want unready %s, missing %s", d, unready, missing)
	}
}

func restart(t *testing.T, r *testbed.Redis) {
	t.Helper()
	must(t, r.Kill())
	must(t, r.Start())
}

// restore brings a server back as it was.
func restore(t *testing.T, r *testbed.Redis, old testbed.RedisFiles) {
	t.Helper()
	must(t, errors.Join(r.Kill(), r.SetFiles(old), r.Start()))
}

// A Redis that was started again may have lost writes, and no record leads anybody anywhere before all nodes have posted (I3, I7). What
// is needed for that, and what only shows, goes on.
func TestUntrusted(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	r := f.servers[0]
	s := f.open(t)
	ctx := t.Context()
	one, two := newPoster(t, s, "one"), newPoster(t, s, "two")
	one.post()
	two.post()
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
	must(t, err)
	for _, p := range []state.Phase{state.Copying, state.Tailing} {
		_, err := s.Advance(ctx, l, p, state.Change{})
		must(t, err)
	}
	old := doubt(t, s)
	restart(t, r)
	for what, do := range map[string]func() error{
		"get":          func() error { _, err := s.Get(ctx, "alice"); return err },
		"get nobody":   func() error { _, err := s.Get(ctx, "nobody"); return err },
		"offer":        func() error { _, err := s.Offer(ctx, "bob"); return err },
		"acquire":      func() error { _, _, err := s.Acquire(ctx, "alice", "v", time.Hour); return err },
		"renew":        func() error { return s.Renew(ctx, l, time.Hour) },
		"advance":      func() error { _, err := s.Advance(ctx, l, state.Tailing, state.Change{}); return err },
		"note":         func() error { return s.PutFolders(ctx, l, state.Folder{Name: "INBOX"}) },
		"begin":        func() error { _, _, err := s.BeginCutover(ctx, l, "x", time.Hour); return err },
		"commit":       func() error { return s.Commit(ctx, l, "x") },
		"switch":       func() error { _, err := s.Switch(ctx, l, "x", 0); return err },
		"call off":     func() error { return s.CallOff(ctx, l, "x", "") },
		"inbox":        func() error { _, err := s.Inbox(ctx, one.Node); return err },
		"acknowledge":  func() error { return s.Acknowledge(ctx, one.Node, state.Hold{User: "alice"}, 0, nil) },
		"ready before": func() error { return s.Ready(ctx, "one", old, nil) },
		"post before":  func() error { return s.Post(ctx, one.Node, old) },
	} {
		if err := do(); !errors.Is(err, state.ErrUntrusted) {
			t.Errorf("%s: %v", what, err)
		}
	}
	page, err := s.List(ctx, state.Tailing, "", 10)
	if err != nil || len(page) != 1 {
		t.Errorf("list: %v (%v)", page, err)
	}
	if live, err := s.Live(ctx); err != nil || len(live) != 2 || s.Beat(ctx, one.Node, time.Hour) != nil {
		t.Errorf("alive are %v (%v)", live, err)
	}
	if _, err := s.Repair(ctx, state.Record{User: "carol", Attempt: "t1"}, nil); err != nil {
		t.Error(err)
	}
	wantMissing(t, s, "one two", "one two")
	one.post()
	wantMissing(t, s, "two", "two")
	if _, err := s.Get(ctx, "alice"); !errors.Is(err, state.ErrUntrusted) {
		t.Errorf("get before two has posted: %v", err)
	}
	two.post()
	wantMissing(t, s, "", "")
	must(t, s.Renew(ctx, l, time.Hour))
	if rec, err := s.Get(ctx, "carol"); err != nil || rec.Phase != state.Migrated {
		t.Errorf("carol is %+v (%v)", rec, err)
	}
}

// A snapshot is older than a node. Those that have heard of it say so, and it is waited for, until an operator says that it is gone; what
// the others have not heard of that does not bring it back.
func TestRoster(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s := f.open(t)
	one := newPoster(t, s, "one")
	one.post()
	old, err := f.servers[0].Files()
	must(t, err)
	two := newPoster(t, s, "two")
	two.post()
	if d := doubt(t, s); !slices.Equal(d.Roster, []string{"one", "two"}) {
		t.Errorf("roster %v", d.Roster)
	}
	restore(t, f.servers[0], old)
	one.post("one", "two")
	wantMissing(t, s, "two", "two")
	must(t, s.Forget(t.Context(), "two"))
	wantMissing(t, s, "", "")
	restart(t, f.servers[0])
	one.post("one", "two")
	wantMissing(t, s, "", "")
	newPoster(t, s, "two").post()
	restart(t, f.servers[0])
	one.post()
	wantMissing(t, s, "two", "two")
	if err := s.Forget(t.Context(), "two"); !errors.As(err, new(*state.Taken)) {
		t.Errorf("forget who lives: %v", err)
	}
}

// What was lost with a node's life is that cutovers wait for it. It cannot post before it lives again, and nobody begins one.
func TestPostOfTheDead(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s := f.open(t)
	ctx := t.Context()
	old, err := f.servers[0].Files()
	must(t, err)
	one := newPoster(t, s, "one")
	one.post()
	restore(t, f.servers[0], old)
	d := doubt(t, s)
	must(t, s.Ready(ctx, one.Name, d, nil))
	if err := s.Post(ctx, one.Node, d); !errors.Is(err, state.ErrFenced) {
		t.Errorf("post: %v", err)
	}
	if _, err := s.Inbox(ctx, one.Node); !errors.Is(err, state.ErrUntrusted) {
		t.Errorf("inbox: %v", err)
	}
	newPoster(t, s, "one").post()
	wantMissing(t, s, "", "")
}

// A server becomes a replica, takes another's data and is made a master again, all under connections that stay. Its run_id is what it was,
// and the run that was accepted here before may be in what it has taken.
func TestPromotedAgain(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	r := f.servers[0]
	s := f.open(t)
	newPoster(t, s, "one").post()
	wantMissing(t, s, "", "")
	other := server(t)
	host, port, _ := strings.Cut(r.Addr(), ":")
	_, err := other.Do("REPLICAOF", host, port)
	must(t, err)
	until(t, "the other has all", func() bool { return strings.Contains(replication(t, r), "state=online") })
	newPoster(t, s, "two").post() // a first replica makes another run
	host, port, _ = strings.Cut(other.Addr(), ":")
	for _, c := range [][]string{{"NO", "ONE"}, nil} {
		if c == nil {
			_, err = r.Do("REPLICAOF", host, port)
		} else {
			_, err = other.Do(append([]string{"REPLICAOF"}, c...)...)
		}
		must(t, err)
	}
	until(t, "it is a replica in step", func() bool { return strings.Contains(replication(t, r), "master_link_status:up") })
	_, err = r.Do("REPLICAOF", "NO", "ONE")
	must(t, err)
	if d := doubt(t, s); !d.Untrusted {
		t.Errorf("%+v", d)
	}
}

package proxy

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// A state.Store is all that a server needs.
var _ Store = state.Store(nil)

// TestCutoverThroughStore plays the worker over a real store: a session is held at the source while the attempt is
// called off, and the next attempt switches it (I3, I5).
func TestCutoverThroughStore(t *testing.T) {
	store, err := boltstate.Open(filepath.Join(t.TempDir(), "state.db"), boltstate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := newBed(t)
	t.Cleanup(func() { // after the server has stopped
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	b.real = store
	logIn(t, b)

	ctx := t.Context()
	if _, err := store.Offer(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	lease, _, err := store.Acquire(ctx, "alice", "worker", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, phase := range []state.Phase{state.Copying, state.Tailing} {
		if _, err := store.Advance(ctx, lease, phase, state.Change{}); err != nil {
			t.Fatal(err)
		}
	}
	begin := func(attempt string) {
		t.Helper()
		if lease, _, err = store.BeginCutover(ctx, lease, attempt, longBudget); err != nil {
			t.Fatal(err)
		}
		must(t, "all nodes acknowledged", func() bool {
			nodes, err := store.Waiting(ctx, "alice", attempt)
			return err == nil && len(nodes) == 0
		})
	}

	steps(t, b, "C: x COPY 1 Work\nP: x COPY 1 Work\nB: x OK [COPYUID 5 1 7] copied\nS: x OK [COPYUID 5 1 7] copied")
	begin("t1")
	if list, err := store.Touched(ctx, "alice", "t1"); err != nil || told(list) != "Work=5/7" {
		t.Errorf("the worker is told %v, %v", list, err)
	}
	if open, err := store.Sessions(ctx, "alice", "t1"); err != nil || open[b.srv.node.me()] != 1 {
		t.Errorf("the worker is told of %v sessions, %v", open, err)
	}
	steps(t, b, "C: b NOOP")
	if err := store.CallOff(ctx, lease, "t1", "the last pass was too long"); err != nil {
		t.Fatal(err)
	}
	steps(t, b, "P: b NOOP\nB: b OK done\nS: b OK done")

	begin("t2")
	steps(t, b, "C: c NOOP")
	if err := store.Commit(ctx, lease, "t2"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Switch(ctx, lease, "t2", time.Second); err != nil {
		t.Fatal(err)
	}
	steps(t, b, "P: imapferry1 LOGOUT\n"+enterTarget+"\nP!\nQ: c NOOP\nD: c OK done\nS: c OK done")
	must(t, "counted", func() bool {
		rec, err := store.Get(ctx, "alice")
		return err == nil && rec.Phase == state.Migrated && rec.Moved == 1 && rec.Disconnected == 0
	})
	if err := store.Acknowledge(ctx, b.srv.node.me(), state.Hold{User: "alice", Attempt: "t2"}, 0, nil); !errors.Is(err, state.ErrPhase) {
		t.Errorf("acknowledging an attempt that is over: %v; want ErrPhase", err)
	}

	if n := b.srv.Sessions("alice"); n != 1 {
		t.Errorf("Sessions() = %d; want 1", n)
	}
}

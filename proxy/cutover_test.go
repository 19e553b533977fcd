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

// TestCutoverThroughStore plays the worker over a real store: a session is held at the source while the attempt is called off, and the next attempt
// switches it (I3, I5).
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

	begin("t1")
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
	steps(t, b, "S: * BYE "+moved+"\nS!\nP!")
	must(t, "counted", func() bool {
		rec, err := store.Get(ctx, "alice")
		return err == nil && rec.Phase == state.Migrated && rec.Disconnected == 1
	})
	if err := store.Acknowledge(ctx, b.srv.node.me(), state.Hold{User: "alice", Attempt: "t2"}); !errors.Is(err, state.ErrPhase) {
		t.Errorf("acknowledging an attempt that is over: %v; want ErrPhase", err)
	}

	b.client = nil
	steps(t, b, `S~ \* OK .*
C: a LOGIN alice secret
D: * OK [CAPABILITY IMAP4rev1] target ready
Q: f1 LOGIN "alice" "secret"
D: f1 OK [CAPABILITY IMAP4rev1] welcome
S~ a OK .*`)
	if n := b.srv.Sessions("alice"); n != 1 {
		t.Errorf("Sessions() = %d; want 1", n)
	}
}

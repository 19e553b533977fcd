package redisstate

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/statetest"
)

// A worker that dies between the two halves of BeginCutover has named no node; the attempt that it leaves cannot be committed, although
// there is nobody in it whose acknowledgement is missing (I3, the model's NO_NAMED).
func TestCommitUnnamed(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	r, err := testbed.ForTest(t).Redis(testbed.RedisOptions{})
	must(t, err)
	ctx := t.Context()
	s, err := Open(ctx, r.URL(), Options{Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer s.Close()
	must(t, statetest.Accept(ctx, s))
	_, err = s.Join(ctx, "n", time.Hour)
	must(t, err)
	_, err = s.Offer(ctx, "alice")
	must(t, err)
	l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
	must(t, err)
	for _, p := range []state.Phase{state.Copying, state.Tailing} {
		_, err = s.Advance(ctx, l, p, state.Change{})
		must(t, err)
	}
	_, err = s.forLease(ctx, beginScript, l, newOp(), "x", micros(time.Hour))
	must(t, err)
	l.Epoch++
	if err := s.Commit(ctx, l, "x"); !errors.Is(err, state.ErrWaiting) {
		t.Errorf("commit: %v", err)
	}
	must(t, s.CallOff(ctx, l, "x", "no node was named"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// silentNode is a store that knows of a node that has not been heard of, for as long as it is asked so many times.
type silentNode struct {
	Store
	times atomic.Int32
}

func (s *silentNode) BeginCutover(ctx context.Context, l state.Lease, attempt string, budget time.Duration) (state.Lease, state.Record, error) {
	if s.times.Add(-1) >= 0 {
		return state.Lease{}, state.Record{}, fmt.Errorf("begin cutover of %s: %w", l.User, &state.Silent{Node: "two", For: 14 * time.Second, TTL: 30 * time.Second})
	}
	return s.Store.BeginCutover(ctx, l, attempt, budget)
}

// A node has died and does not count as dead yet. No session is held for it, the operator sees for what the user waits, and the user
// is switched when that is over.
func TestSilentNode(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.deliver("INBOX", 1)
	s.wrap = func(b *boltstate.Store) Store {
		store := &silentNode{Store: b}
		store.times.Store(2)
		return store
	}
	s.start()
	rec := s.await("failing", func(r state.Record) bool { return r.Attempts > 0 })
	if want := "node two has not been heard of for 14s; it counts as dead after 33s"; rec.Reason != want || rec.Phase != state.Tailing {
		t.Errorf("%v, reason %q; want %q", rec.Phase, rec.Reason, want)
	}
	s.migrated()
}

// busyNode is a store that knows of a node that has not acknowledged when it is asked first. Its client's last write comes meanwhile.
type busyNode struct {
	Store
	asked atomic.Int32
	write func()
}

func (b *busyNode) Waiting(ctx context.Context, user, attempt string) ([]state.Node, error) {
	switch b.asked.Add(1) {
	case 1:
		return []state.Node{{Name: "two"}}, nil
	case 2:
		b.write()
	}
	return b.Store.Waiting(ctx, user, attempt)
}

// The last pass comes after all nodes have acknowledged (I3): what the source takes until then is in the target.
func TestAwaitsNodes(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.deliver("INBOX", 1)
	node := &busyNode{write: func() { s.src.deliver("INBOX", 2) }}
	s.wrap = func(b *boltstate.Store) Store { node.Store = b; return node }
	s.start()
	s.migrated()
	if got := s.dst.bodies(); len(got) != 2 {
		t.Errorf("switched after %d looks at who has acknowledged; the target holds %v", node.asked.Load(), got)
	}
}

// TestDeliveredBesideHold: a delivery agent brings a message to the source just before the hold, into the folder that the worker has
// looked at last. The switch does not pass it over, and it has the source's UID (I1, I2).
func TestDeliveredBesideHold(t *testing.T) {
	for _, format := range []string{"maildir", "mdbox"} {
		t.Run(format, func(t *testing.T) {
			x := newCrossing(t, format, "mdbox")
			x.settings.VerifyBodies = VerifyNone // which opens and closes the folder before the hold
			x.deliver(x.src, "alice", "INBOX", "one")
			x.wrap = func(b *boltstate.Store) Store {
				return &eventful{Store: b, before: func() {}, held: func() { x.deliver(x.src, "alice", "INBOX", "just now") }}
			}
			x.start()
			x.engine.Offer("alice", "pass")
			x.awaitPhase("alice", state.Migrated)
			x.stop() // no straggler pass
			x.same("alice", testbed.DiffOptions{})
		})
	}
}

// takenOver is a store in which another worker has taken the lease, or which answers nothing any more.
type takenOver struct {
	Store
	err error
}

func (s takenOver) Renew(context.Context, state.Lease, time.Duration) error { return s.err }

func (s takenOver) Report(context.Context, state.Lease, state.Progress) error { return s.err }

// A worker ends when its lease has been lost, and before it can end if the store does not say (I6).
func TestLeaseLost(t *testing.T) {
	for _, err := range []error{state.ErrLost, errors.New("the store is away")} {
		synctest.Test(t, func(t *testing.T) {
			w := &worker{e: &Engine{cfg: Config{Store: takenOver{err: err}}}}
			w.renewed.Store(newRenewal())
			ctx, cancel := context.WithCancelCause(t.Context())
			began := time.Now()
			stop := time.AfterFunc(2*leaseTTL, func() { cancel(nil) })
			defer stop.Stop()
			w.keepLease(ctx, cancel)
			if cause := context.Cause(ctx); cause != err || time.Since(began) >= leaseTTL {
				t.Errorf("renewing fails (%v): ended after %s by %v", err, time.Since(began), cause)
			}
		})
	}
}

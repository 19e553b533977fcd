package migrate

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

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

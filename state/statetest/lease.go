package statetest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"imapferry/state"
)

func testAcquire(r *rig) {
	_, _, err := r.Store.Acquire(r.ctx, "nobody", "w", Long)
	r.want("acquire an unknown user", err, state.ErrUnknown)

	r.offer("alice")
	l, rec, err := r.Store.Acquire(r.ctx, "alice", "w1", Long)
	r.must(err)
	if l != (state.Lease{User: "alice", Owner: "w1", Epoch: 1}) || rec.Epoch != 1 || rec.Owner != "w1" || !rec.LeaseUntil.After(rec.Created) {
		r.Errorf("lease %+v, record %+v", l, rec)
	}
	if !same(rec, r.get("alice")) {
		r.Error("acquire returned something else than the record")
	}
	_, _, err = r.Store.Acquire(r.ctx, "alice", "w2", Long)
	r.want("acquire while busy", err, state.ErrBusy)
	if !same(r.get("alice"), rec) {
		r.Error("a refused acquire changed the record")
	}
	again, _, err := r.Store.Acquire(r.ctx, "alice", "w1", Short)
	r.must(err)
	if again.Epoch != 2 {
		r.Errorf("the same owner got epoch %d, want 2", again.Epoch)
	}
	r.outlast()
	if rec := r.get("alice"); rec.Owner != "" || !rec.LeaseUntil.IsZero() || rec.Epoch != 2 {
		r.Errorf("a lease that has ended still shows: %+v", rec)
	}
	other, _, err := r.Store.Acquire(r.ctx, "alice", "w2", Long)
	r.must(err)
	if other.Epoch != 3 {
		r.Errorf("the next owner got epoch %d, want 3", other.Epoch)
	}
}

func testAcquirePhase(r *rig) {
	for _, p := range state.Phases {
		r.must(r.Store.Release(r.ctx, r.bring(p.String(), p)))
		_, rec, err := r.Store.Acquire(r.ctx, p.String(), "w", Long)
		if p == state.Finalized || p == state.Held {
			r.want("acquire a user who is "+p.String(), err, state.ErrPhase)
			continue
		}
		r.want("acquire a user who is "+p.String(), err, nil)
		if rec.Phase != p {
			r.Errorf("acquire moved the user from %v to %v", p, rec.Phase)
		}
	}
}

// One lease, one winner (I6).
func testAcquireRace(r *rig) {
	r.offer("alice")
	for round := range 5 {
		var won atomic.Int32
		r.together(50, func(i int) error {
			_, _, err := r.Store.Acquire(r.ctx, "alice", fmt.Sprintf("w%d", i), Long)
			if err == nil {
				won.Add(1)
			} else if errors.Is(err, state.ErrBusy) {
				err = nil
			}
			return err
		})
		rec := r.get("alice")
		if won.Load() != 1 || rec.Epoch != uint64(round+1) {
			r.Fatalf("round %d: %d winners, epoch %d", round, won.Load(), rec.Epoch)
		}
		r.must(r.Store.Release(r.ctx, state.Lease{User: "alice", Owner: rec.Owner, Epoch: rec.Epoch}))
	}
}

func testRenew(r *rig) {
	r.offer("alice")
	l, _, err := r.Store.Acquire(r.ctx, "alice", "w", Long)
	r.must(err)
	r.must(r.Store.Renew(r.ctx, l, Short)) // it may be shortened, too
	r.outlast()
	r.want("renew what has ended", r.Store.Renew(r.ctx, l, Long), state.ErrLost)

	l = r.acquire("alice")
	r.must(r.Store.Renew(r.ctx, l, 2*Long))
	if rec := r.get("alice"); rec.LeaseUntil.Sub(rec.Created) < 2*Long || rec.Epoch != l.Epoch || rec.Owner != "w" {
		r.Errorf("after renewal: %+v", rec)
	}
	r.outlast()
	r.must(r.Store.Renew(r.ctx, l, Long))
}

func testRelease(r *rig) {
	l := r.acquire("alice")
	r.must(r.Store.Release(r.ctx, l))
	if rec := r.get("alice"); rec.Owner != "" || !rec.LeaseUntil.IsZero() || rec.Epoch != l.Epoch {
		r.Errorf("after release: %+v", rec)
	}
	r.want("a second release", r.Store.Release(r.ctx, l), state.ErrLost)
	next, _, err := r.Store.Acquire(r.ctx, "alice", "v", Long)
	r.must(err)
	if next.Epoch != l.Epoch+1 {
		r.Errorf("epoch %d after %d", next.Epoch, l.Epoch)
	}
}

func testLeaseInvalid(r *rig) {
	l := r.acquire("alice")
	for _, owner := range []string{"", "a\nb", strings.Repeat("o", 1024)} {
		_, _, err := r.Store.Acquire(r.ctx, "alice", owner, Long)
		r.want(fmt.Sprintf("owner %.10q", owner), err, state.ErrInvalid)
	}
	_, _, err := r.Store.Acquire(r.ctx, "alice", "w", 0)
	r.want("a lease of no time", err, state.ErrInvalid)
	_, _, err = r.Store.Acquire(r.ctx, "alice", "w", -Long)
	r.want("a lease of less", err, state.ErrInvalid)
	r.want("renewal of no time", r.Store.Renew(r.ctx, l, 0), state.ErrInvalid)
	r.must(r.Store.Renew(r.ctx, l, Long))
}

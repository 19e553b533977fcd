package statetest

import (
	"errors"
	"sync/atomic"
	"time"

	"imapferry/state"
)

// Past the deadline there is no switch (I5).
func testCommitLate(r *rig) {
	n := r.join("n")
	l, _, err := r.Store.BeginCutover(r.ctx, r.bring("alice", state.Tailing), "x", Short)
	r.must(err)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(l, "x"), 0, nil))
	r.outlast()
	r.want("a late commit", r.Store.Commit(r.ctx, l, "x"), state.ErrLate)
	if rec := r.get("alice"); rec.Committing || rec.Phase != state.Cutover {
		r.Errorf("after a late commit: %+v", rec)
	}
	r.must(r.Store.CallOff(r.ctx, l, "x", "late"))
}

// Each condition outranks those after it, so a worker hears the worst.
func testCommitOrder(r *rig) {
	for _, p := range []state.Phase{state.Pending, state.Copying, state.Tailing, state.Migrated, state.Finalized, state.Held} {
		l := r.bring(p.String(), p)
		r.want("commit from "+p.String(), r.Store.Commit(r.ctx, l, r.get(p.String()).Attempt), state.ErrPhase)
	}
	r.join("n")
	l, _, err := r.Store.BeginCutover(r.ctx, r.bring("alice", state.Tailing), "x", Short)
	r.must(err)
	r.outlast()
	r.want("late and not acknowledged", r.Store.Commit(r.ctx, l, "x"), state.ErrLate)
	r.want("another attempt and late", r.Store.Commit(r.ctx, l, "y"), state.ErrPhase)
	r.must(r.Store.Release(r.ctx, l))
	r.want("no lease and another attempt", r.Store.Commit(r.ctx, l, "y"), state.ErrLost)
}

func testCommitTwice(r *rig) {
	l, _, err := r.Store.BeginCutover(r.ctx, r.bring("alice", state.Tailing), "x", Long)
	r.must(err)
	r.must(r.Store.Commit(r.ctx, l, "x"))
	before := r.get("alice")
	r.must(r.Store.Commit(r.ctx, l, "x"))
	r.want("commit another attempt", r.Store.Commit(r.ctx, l, "y"), state.ErrPhase)
	if !same(r.get("alice"), before) {
		r.Error("the second commit changed the record")
	}
}

func testSwitchBeforeCommit(r *rig) {
	n := r.join("n")
	tailing := r.bring("bob", state.Tailing)
	_, err := r.Store.Switch(r.ctx, tailing, "", 0)
	r.want("switch from tailing", err, state.ErrPhase)
	l := r.begin(r.bring("alice", state.Tailing), "x")
	_, err = r.Store.Switch(r.ctx, l, "x", 0)
	r.want("switch before acknowledgement", err, state.ErrPhase)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(l, "x"), 0, nil))
	_, err = r.Store.Switch(r.ctx, l, "x", 0)
	r.want("switch before commit", err, state.ErrPhase)
	r.must(r.Store.Commit(r.ctx, l, "x"))
	_, err = r.Store.Switch(r.ctx, l, "y", 0)
	r.want("switch of another attempt", err, state.ErrPhase)
	if rec := r.get("alice"); rec.Phase != state.Cutover || !rec.Committing {
		r.Errorf("after refused switches: %+v", rec)
	}
}

func testSwitchTwice(r *rig) {
	l := r.bring("alice", state.Migrated)
	before := r.get("alice")
	again, err := r.Store.Switch(r.ctx, l, firstTry, time.Minute)
	r.must(err)
	if !same(again, before) || !same(r.get("alice"), before) {
		r.Errorf("the second switch changed %+v to %+v", before, again)
	}
	_, err = r.Store.Switch(r.ctx, l, "y", 0)
	r.want("switch of another attempt", err, state.ErrPhase)
	r.want("commit after the switch", r.Store.Commit(r.ctx, l, firstTry), state.ErrPhase)
	r.advance(l, state.Finalized)
	_, err = r.Store.Switch(r.ctx, l, firstTry, 0)
	r.want("switch of a finalized user", err, state.ErrPhase)
}

// Commit and call-off at the same moment: one of them happens (I5).
func testCommitRacesCallOff(r *rig) {
	for range 10 {
		l := r.bring("alice", state.Tailing)
		l = r.begin(l, "x")
		var committed, calledOff atomic.Bool
		r.together(2, func(i int) error {
			var err error
			if i == 0 {
				err = r.Store.Commit(r.ctx, l, "x")
				committed.Store(err == nil)
			} else {
				err = r.Store.CallOff(r.ctx, l, "x", "")
				calledOff.Store(err == nil)
			}
			if errors.Is(err, state.ErrPhase) {
				err = nil
			}
			return err
		})
		rec := r.get("alice")
		if committed.Load() == calledOff.Load() || rec.Committing != committed.Load() || (rec.Phase == state.Tailing) != calledOff.Load() {
			r.Fatalf("committed %v, called off %v, record %+v", committed.Load(), calledOff.Load(), rec)
		}
		if committed.Load() {
			return // alice cannot go back to tailing
		}
		r.must(r.Store.Release(r.ctx, l))
	}
}

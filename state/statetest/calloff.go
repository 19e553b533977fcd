package statetest

import (
	"imapferry/state"
)

func testCallOffByHolder(r *rig) {
	n := r.join("n")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	r.want("call off another attempt", r.Store.CallOff(r.ctx, l, "y", ""), state.ErrPhase)
	r.must(r.Store.CallOff(r.ctx, l, "x", "the source lags"))
	rec := r.get("alice")
	if rec.Phase != state.Tailing || rec.Reason != "the source lags" || rec.Epoch != l.Epoch || rec.Owner != "w" || rec.Attempt != "x" || rec.Committing {
		r.Errorf("called off: %+v", rec)
	}
	r.wantInbox("called off", n)
	_, err := r.Store.Waiting(r.ctx, "alice", "x")
	r.want("waiting", err, state.ErrPhase)
	r.want("acknowledge", r.Store.Acknowledge(r.ctx, n, hold(l, "x"), 0, nil), state.ErrPhase)
	r.want("call off twice", r.Store.CallOff(r.ctx, l, "x", ""), state.ErrPhase)
	r.want("commit", r.Store.Commit(r.ctx, l, "x"), state.ErrPhase)
	_, err = r.Store.Switch(r.ctx, l, "x", 0)
	r.want("switch", err, state.ErrPhase)
	r.advance(l, state.Tailing) // the lease holds on
	late, _, err := r.Store.BeginCutover(r.ctx, l, "z", Short)
	r.must(err)
	r.outlast()
	r.must(r.Store.CallOff(r.ctx, late, "z", "late"))
	if rec := r.get("alice"); rec.Epoch != late.Epoch || rec.Owner != "w" {
		r.Errorf("the holder, past the deadline: %+v", rec)
	}
}

// Past the deadline any node may free a user whose worker is silent, and the worker finds out (I5, I6).
func testCallOffByAnyone(r *rig) {
	n := r.join("n")
	l, _, err := r.Store.BeginCutover(r.ctx, r.bring("alice", state.Tailing), "x", Short)
	r.must(err)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(l, "x"), 0, nil))
	r.outlast()
	anyone := state.Lease{User: "alice"}
	r.want("another attempt", r.Store.CallOff(r.ctx, anyone, "y", ""), state.ErrPhase)
	r.must(r.Store.CallOff(r.ctx, anyone, "x", "the deadline has passed"))
	rec := r.get("alice")
	if rec.Phase != state.Tailing || rec.Epoch != l.Epoch+1 || rec.Owner != "" || rec.Reason == "" {
		r.Errorf("called off: %+v", rec)
	}
	r.wantFenced("the worker", l, state.ErrLost)
	r.want("twice", r.Store.CallOff(r.ctx, anyone, "x", ""), state.ErrPhase)
	r.wantDue("free for another worker", "alice")
	r.want("of an unknown user", r.Store.CallOff(r.ctx, state.Lease{User: "nobody"}, "x", ""), state.ErrUnknown)
}

func testCallOffEarly(r *rig) {
	l := r.begin(r.bring("alice", state.Tailing), "x")
	anyone := state.Lease{User: "alice"}
	r.want("before the deadline", r.Store.CallOff(r.ctx, anyone, "x", ""), state.ErrLost)
	r.must(r.Store.Release(r.ctx, l))
	r.want("before the deadline, without a worker", r.Store.CallOff(r.ctx, anyone, "x", ""), state.ErrLost)
	if rec := r.get("alice"); rec.Phase != state.Cutover || rec.Epoch != l.Epoch {
		r.Errorf("a refused call-off changed the record: %+v", rec)
	}
}

// After Commit nothing calls the cutover off any more (I3).
func testCallOffCommitted(r *rig) {
	l, _, err := r.Store.BeginCutover(r.ctx, r.bring("alice", state.Tailing), "x", Long)
	r.must(err)
	r.must(r.Store.Commit(r.ctx, l, "x"))
	r.want("by the holder", r.Store.CallOff(r.ctx, l, "x", ""), state.ErrPhase)
	r.want("by anyone", r.Store.CallOff(r.ctx, state.Lease{User: "alice"}, "x", ""), state.ErrPhase)
	_, err = r.Store.Advance(r.ctx, l, state.Tailing, state.Change{})
	r.want("by advance", err, state.ErrPhase)
	_, err = r.Store.Retry(r.ctx, "alice")
	r.must(err)
	if rec := r.get("alice"); rec.Phase != state.Cutover || !rec.Committing || rec.Epoch != l.Epoch {
		r.Errorf("after refused call-offs: %+v", rec)
	}
	_, err = r.Store.Switch(r.ctx, l, "x", 0)
	r.must(err)
}

// A stale lease is not the zero lease: its worker hears that it is lost, even past the deadline.
func testCallOffStale(r *rig) {
	old, _, err := r.Store.BeginCutover(r.ctx, r.bring("alice", state.Tailing), "x", Short)
	r.must(err)
	fresh := r.acquire("alice")
	r.outlast()
	r.want("by a stale lease", r.Store.CallOff(r.ctx, old, "x", ""), state.ErrLost)
	r.must(r.Store.CallOff(r.ctx, fresh, "x", ""))
}

// Who takes over before Commit can only call off; the old worker can do nothing.
func testTakeoverBeforeCommit(r *rig) {
	n := r.join("n")
	old := r.begin(r.bring("alice", state.Tailing), "x")
	r.must(r.Store.Acknowledge(r.ctx, n, hold(old, "x"), 0, nil))
	r.must(r.Store.Renew(r.ctx, old, Short))
	r.outlast()
	fresh, rec, err := r.Store.Acquire(r.ctx, "alice", "v", Long)
	r.must(err)
	if rec.Phase != state.Cutover || rec.Committing || rec.Attempt != "x" || fresh.Epoch != old.Epoch+1 {
		r.Errorf("taken over: %+v", rec)
	}
	r.want("the old worker commits", r.Store.Commit(r.ctx, old, "x"), state.ErrLost)
	r.want("the new worker commits", r.Store.Commit(r.ctx, fresh, "x"), state.ErrPhase)
	_, err = r.Store.Switch(r.ctx, fresh, "x", 0)
	r.want("the new worker switches", err, state.ErrPhase)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(old, "x"), 0, nil)) // the attempt is still that one
	r.must(r.Store.CallOff(r.ctx, fresh, "x", "taken over"))
	next := r.begin(fresh, "y")
	r.must(r.Store.Acknowledge(r.ctx, n, hold(next, "y"), 0, nil))
	r.must(r.Store.Commit(r.ctx, next, "y"))
}

// Who takes over after Commit can only switch; that it was called off can never be read.
func testTakeoverAfterCommit(r *rig) {
	old := r.begin(r.bring("alice", state.Tailing), "x")
	r.must(r.Store.Commit(r.ctx, old, "x"))
	r.must(r.Store.Renew(r.ctx, old, Short))
	r.outlast()
	r.wantDue("the worker died after commit", "alice")
	fresh, rec, err := r.Store.Acquire(r.ctx, "alice", "v", Long)
	r.must(err)
	if !rec.Committing || rec.Attempt != "x" {
		r.Errorf("taken over: %+v", rec)
	}
	_, err = r.Store.Switch(r.ctx, old, "x", 0)
	r.want("the old worker switches", err, state.ErrLost)
	r.want("the new worker calls off", r.Store.CallOff(r.ctx, fresh, "x", ""), state.ErrPhase)
	rec, err = r.Store.Switch(r.ctx, fresh, "x", 0)
	r.must(err)
	if rec.Phase != state.Migrated || rec.Epoch != fresh.Epoch {
		r.Errorf("switched by the new worker: %+v", rec)
	}
}

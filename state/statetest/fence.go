package statetest

import (
	"slices"
	"time"

	"imapferry/state"
)

// wantFenced tries everything that takes a lease, and wants want and no change (I6).
func (r *rig) wantFenced(what string, l state.Lease, want error) {
	r.Helper()
	before, err := r.Store.Get(r.ctx, l.User)
	known := err == nil
	folders, _ := r.Store.Folders(r.ctx, l.User)
	exceptions, _ := r.Store.Exceptions(r.ctx, l.User, "", 9)
	s := r.Store
	for _, try := range []struct {
		name string
		run  func() error
	}{
		{"renew", func() error { return s.Renew(r.ctx, l, Long) }},
		{"release", func() error { return s.Release(r.ctx, l) }},
		{"advance", func() error {
			_, err := s.Advance(r.ctx, l, state.Copying, state.Change{Reason: "stale"})
			return err
		}},
		{"stay", func() error {
			_, err := s.Advance(r.ctx, l, before.Phase, state.Change{Reason: "stale"})
			return err
		}},
		{"report", func() error { return s.Report(r.ctx, l, state.Progress{Messages: 666}) }},
		{"put folder", func() error { return s.PutFolders(r.ctx, l, state.Folder{Name: "stale", UIDNext: 666}) }},
		{"delete folder", func() error { return s.DeleteFolder(r.ctx, l, "INBOX") }},
		{"put exceptions", func() error { return s.PutExceptions(r.ctx, l, state.Exception{Class: "stale"}) }},
		{"delete exception", func() error { return s.DeleteException(r.ctx, l, state.Exception{Class: "kept"}) }},
		{"delete exceptions", func() error { return s.DeleteExceptions(r.ctx, l, "") }},
		{"begin cutover", func() error {
			_, _, err := s.BeginCutover(r.ctx, l, "stale", Long)
			return err
		}},
		{"call off", func() error { return s.CallOff(r.ctx, l, before.Attempt, "stale") }},
		{"commit", func() error { return s.Commit(r.ctx, l, before.Attempt) }},
		{"switch", func() error {
			_, err := s.Switch(r.ctx, l, before.Attempt, time.Second)
			return err
		}},
	} {
		r.want(what+": "+try.name, try.run(), want)
	}
	if !known {
		return
	}
	if after := r.get(l.User); !same(after, before) {
		r.Errorf("%s: a stale lease changed %+v to %+v", what, before, after)
	}
	after, err := r.Store.Folders(r.ctx, l.User)
	r.must(err)
	if !slices.EqualFunc(after, folders, sameFolder) {
		r.Errorf("%s: a stale lease changed the folders", what)
	}
	left, err := r.Store.Exceptions(r.ctx, l.User, "", 9)
	r.must(err)
	if !slices.Equal(left, exceptions) {
		r.Errorf("%s: a stale lease changed the exceptions", what)
	}
}

// A worker whose user was taken over can do nothing any more, in any phase.
func testFenceNewer(r *rig) {
	for _, p := range []state.Phase{state.Pending, state.Copying, state.Tailing, state.Cutover, state.Migrated} {
		old := r.bring(p.String(), p)
		r.must(r.Store.PutFolders(r.ctx, old, state.Folder{Name: "INBOX"}))
		r.must(r.Store.PutExceptions(r.ctx, old, state.Exception{Class: "kept"}))
		fresh := r.acquire(p.String()) // the same owner
		r.wantFenced(p.String()+", acquired again", old, state.ErrLost)
		r.must(r.Store.Renew(r.ctx, fresh, Short))
		r.outlast()
		_, _, err := r.Store.Acquire(r.ctx, p.String(), "v", Long)
		r.must(err)
		r.wantFenced(p.String()+", taken over", fresh, state.ErrLost)
	}
}

// A worker whose lease has ended can do nothing any more, although nobody has taken over.
func testFenceExpired(r *rig) {
	for _, p := range []state.Phase{state.Pending, state.Tailing, state.Cutover, state.Migrated, state.Finalized, state.Held} {
		l := r.bring(p.String(), p)
		r.must(r.Store.Renew(r.ctx, l, Short))
		r.outlast()
		r.wantFenced(p.String(), l, state.ErrLost)
	}
}

func testFenceReleased(r *rig) {
	for _, p := range []state.Phase{state.Tailing, state.Cutover} {
		l := r.bring(p.String(), p)
		r.must(r.Store.Release(r.ctx, l))
		r.wantFenced(p.String(), l, state.ErrLost)
	}
}

// Neither another owner's name nor an epoch that was never given opens anything.
func testFenceForged(r *rig) {
	l := r.bring("alice", state.Cutover)
	for _, forged := range []state.Lease{
		{User: "alice", Owner: "v", Epoch: l.Epoch},
		{User: "alice", Owner: "", Epoch: l.Epoch},
		{User: "alice", Owner: "w", Epoch: l.Epoch + 1},
		{User: "alice", Owner: "w", Epoch: l.Epoch - 1},
		{User: "alice", Owner: "w", Epoch: 0},
		{User: "alice", Owner: "w", Epoch: 1 << 63},
		{User: "alice"},
	} {
		r.wantFenced("forged", forged, state.ErrLost)
	}
	r.must(r.Store.Renew(r.ctx, l, Long))
}

// The cutover raises the epoch, so what the worker began before it cannot land during it.
func testFenceCutover(r *rig) {
	old := r.bring("alice", state.Tailing)
	l := r.begin(old, "x")
	if l.Epoch != old.Epoch+1 || l.Owner != old.Owner || l.User != old.User {
		r.Errorf("lease %+v became %+v", old, l)
	}
	r.wantFenced("the lease from before the cutover", old, state.ErrLost)
	r.must(r.Store.Renew(r.ctx, l, Long))
}

func testFenceUnknown(r *rig) {
	r.wantFenced("nobody", state.Lease{User: "nobody", Owner: "w", Epoch: 1}, state.ErrUnknown)
	r.want("acknowledge for nobody", r.Store.Acknowledge(r.ctx, r.join("n"), state.Hold{User: "nobody", Epoch: 1, Attempt: "x"}, 0, nil), state.ErrUnknown)
	_, err := r.Store.Waiting(r.ctx, "nobody", "x")
	r.want("waiting for nobody", err, state.ErrUnknown)
	_, err = r.Store.Folders(r.ctx, "nobody")
	r.want("folders of nobody", err, state.ErrUnknown)
	_, err = r.Store.Exceptions(r.ctx, "nobody", "", 9)
	r.want("exceptions of nobody", err, state.ErrUnknown)
	_, err = r.Store.CountExceptions(r.ctx, "nobody")
	r.want("counts for nobody", err, state.ErrUnknown)
}

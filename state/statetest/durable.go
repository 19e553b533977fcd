package statetest

import (
	"time"

	"imapferry/state"
)

// What a store has said it did is there after its process has died (I7).
func testDurable(r *rig) {
	for _, p := range state.Phases {
		r.bring(p.String(), p)
	}
	l := r.bring("alice", state.Tailing)
	_, err := r.Store.Advance(r.ctx, l, state.Tailing, state.Change{Reason: "later", Fidelity: state.Translated, Retry: Long})
	r.must(err)
	f := state.Folder{Name: "\xe4 \"x\"", UIDValidity: 7, TargetUIDValidity: 8, UIDNext: 9, HighestModSeq: 10, Messages: 11, Engine: []byte{0, 255}}
	r.must(r.Store.PutFolders(r.ctx, l, f))
	r.must(r.Store.Tally(r.ctx, "alice", 4, map[string]int64{"view": 5}))
	_, err = r.Store.Claim(r.ctx, "alice", []string{"t1", "t2"})
	r.must(err)
	before := r.get("alice")
	r.must(r.Store.Release(r.ctx, l))

	r.Reopen()

	after := r.get("alice")
	before.Owner, before.LeaseUntil = "", time.Time{}
	if !same(after, before) {
		r.Errorf("after the restart %+v, before %+v", after, before)
	}
	r.wantFolders("after the restart", "alice", f)
	if other, err := r.Store.Claim(r.ctx, "bob", []string{"t2"}); other != "alice" || err != nil {
		r.Errorf("after the restart t2 is bound to %q, %v", other, err)
	}
	counts, err := r.Store.Counts(r.ctx)
	r.must(err)
	for _, p := range state.Phases {
		want := int64(1)
		if p == state.Tailing {
			want = 2
		}
		page, err := r.Store.List(r.ctx, p, "", 9)
		r.must(err)
		if counts[p] != want || int64(len(page)) != want {
			r.Errorf("after the restart %d users counted and %d listed as %v, want %d", counts[p], len(page), p, want)
		}
	}
	next := r.acquire("alice")
	if next.Epoch != l.Epoch+1 {
		r.Errorf("after the restart epoch %d follows %d", next.Epoch, l.Epoch)
	}
	r.want("the lease from before", r.Store.Renew(r.ctx, l, Long), state.ErrLost)
}

// A restart between Commit and Switch leaves a user whom only Switch can move (I3, I7).
func testDurableCommit(r *rig) {
	open := r.begin(r.bring("open", state.Tailing), "x")
	committed := r.begin(r.bring("committed", state.Tailing), "y")
	r.must(r.Store.Commit(r.ctx, committed, "y"))

	r.Reopen()

	if rec := r.get("open"); rec.Phase != state.Cutover || rec.Committing || rec.Attempt != "x" || rec.Epoch != open.Epoch || rec.Deadline.IsZero() {
		r.Errorf("begun: %+v", rec)
	}
	if rec := r.get("committed"); rec.Phase != state.Cutover || !rec.Committing || rec.Attempt != "y" {
		r.Errorf("committed: %+v", rec)
	}
	l := r.acquire("open")
	r.want("commit after takeover", r.Store.Commit(r.ctx, l, "x"), state.ErrPhase)
	r.must(r.Store.CallOff(r.ctx, l, "x", "restarted"))
	l = r.acquire("committed")
	r.want("call off after takeover", r.Store.CallOff(r.ctx, l, "y", ""), state.ErrPhase)
	_, err := r.Store.Switch(r.ctx, l, "y", time.Second)
	r.must(err)

	r.Reopen()

	if rec := r.get("committed"); rec.Phase != state.Migrated || rec.HoldMS != 1000 {
		r.Errorf("switched: %+v", rec)
	}
}

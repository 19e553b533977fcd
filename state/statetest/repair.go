package statetest

import (
	"strings"
	"time"

	"imapferry/state"
)

// lostSwitch is what a journal may know of user.
func lostSwitch(user string) state.Record {
	return state.Record{User: user, Fidelity: state.Translated, Attempt: "lost", Migrated: time.Unix(1_700_000_000, 5000).UTC(), Progress: state.Progress{Skipped: 2}}
}

func testRepair(r *rig) {
	folder := state.Folder{Name: "b\xe4", UIDValidity: 7, TargetUIDValidity: 8, Skipped: []state.Gap{{From: 1, To: 2}}}
	for _, p := range append([]state.Phase{0}, state.Phases...) {
		user := "user" + p.String()
		var l state.Lease
		if p != 0 {
			l = r.bring(user, p)
		}
		var before state.Record
		if p.OnTarget() {
			before = r.get(user)
		}
		rec, err := r.Store.Repair(r.ctx, lostSwitch(user), []state.Folder{folder})
		r.must(err)
		if !same(rec, r.get(user)) {
			r.Errorf("%v: repaired to %+v, and there is %+v", p, rec, r.get(user))
		}
		if p.OnTarget() {
			if !same(rec, before) {
				r.Errorf("%v: changed from %+v to %+v", p, before, rec)
			}
			continue
		}
		want := lostSwitch(user)
		if rec.Phase != state.Migrated || rec.Fidelity != want.Fidelity || rec.Attempt != want.Attempt || !rec.Migrated.Equal(want.Migrated) || rec.Skipped != 2 {
			r.Errorf("%v: repaired to %+v", p, rec)
		}
		if rec.Created.IsZero() || !rec.NextTry.IsZero() || rec.Reason != state.Repaired || rec.Owner != "" || rec.Committing || rec.Attempts != 0 {
			r.Errorf("%v: repaired to %+v", p, rec)
		}
		r.wantFolders("repaired", user, folder)
		if p == 0 {
			continue
		}
		r.want("renew of the lease before", r.Store.Renew(r.ctx, l, Long), state.ErrLost)
		_, err = r.Store.Advance(r.ctx, l, state.Migrated, state.Change{})
		r.want("advance by the worker before", err, state.ErrLost)
	}
	counts, err := r.Store.Counts(r.ctx)
	r.must(err)
	if n := int64(len(state.Phases)); counts[state.Migrated] != n || counts[state.Finalized] != 1 {
		r.Errorf("%d users are counted as migrated, want %d", counts[state.Migrated], n)
	}
}

// testRepairCutover lets a node's journal know of a switch while another attempt is under way.
func testRepairCutover(r *rig) {
	n := r.join("n")
	l := r.bring("alice", state.Cutover)
	_, err := r.Store.Repair(r.ctx, lostSwitch("alice"), nil)
	r.must(err)
	_, err = r.Store.Waiting(r.ctx, "alice", firstTry)
	r.want("waiting", err, state.ErrPhase)
	r.wantInbox("repaired", n)
	r.want("commit", r.Store.Commit(r.ctx, l, firstTry), state.ErrLost)
	r.want("call off", r.Store.CallOff(r.ctx, state.Lease{User: "alice"}, firstTry, ""), state.ErrPhase)
}

func testRepairInvalid(r *rig) {
	for what, rec := range map[string]state.Record{"no user": {Attempt: "x"}, "no attempt": {User: "u"}, "a long name": {User: strings.Repeat("u", 2000), Attempt: "x"}} {
		_, err := r.Store.Repair(r.ctx, rec, nil)
		r.want(what, err, state.ErrInvalid)
	}
	_, err := r.Store.Repair(r.ctx, lostSwitch("u"), []state.Folder{{}})
	r.want("a folder without name", err, state.ErrInvalid)
	_, err = r.Store.Get(r.ctx, "u")
	r.want("get after what was refused", err, state.ErrUnknown)
}

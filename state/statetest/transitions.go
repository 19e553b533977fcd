package statetest

import (
	"fmt"
	"strings"
	"time"

	"imapferry/state"
)

// legal says again, independently of package state, where Advance may lead; c stands for what only Cutovers may do.
var legal = map[state.Phase]string{
	//               pending copying tailing cutover migrated finalized held
	state.Pending:   "y       y       -       -       -        -         y",
	state.Copying:   "y       y       y       -       -        -         y",
	state.Tailing:   "y       y       y       c       -        -         y",
	state.Cutover:   "-       -       c       y       c        -         -",
	state.Migrated:  "-       -       -       -       y        y         -",
	state.Finalized: "-       -       -       -       -        y         -",
	state.Held:      "y       -       -       -       -        -         y",
}

func testTransitions(r *rig) {
	for _, from := range state.Phases {
		for i, verdict := range strings.Fields(legal[from]) {
			to := state.Phases[i]
			user := fmt.Sprintf("%v-%v", from, to)
			l := r.bring(user, from)
			before := r.get(user)
			after, err := r.Store.Advance(r.ctx, l, to, state.Change{Reason: "why"})
			if verdict != "y" {
				r.want(user, err, state.ErrPhase)
				if got := r.get(user); !same(got, before) {
					r.Errorf("%s: a refused transition changed %+v to %+v", user, before, got)
				}
				continue
			}
			r.want(user, err, nil)
			if after.Phase != to || after.Reason != "why" || after.Epoch != l.Epoch || !same(after, r.get(user)) {
				r.Errorf("%s: %+v", user, after)
			}
			if may := from == to || from.CanBecome(to); !may {
				r.Errorf("%s: package state says no", user)
			}
		}
	}
	for _, to := range []state.Phase{0, 8, 255} {
		_, err := r.Store.Advance(r.ctx, r.bring("odd", state.Copying), to, state.Change{})
		r.want(to.String(), err, state.ErrPhase)
	}
}

func testChange(r *rig) {
	l := r.acquire("alice")
	step := func(to state.Phase, c state.Change) state.Record {
		r.Helper()
		rec, err := r.Store.Advance(r.ctx, l, to, c)
		r.must(err)
		return rec
	}
	if rec := step(state.Pending, state.Change{Reason: "waits for a place", Retry: Long}); rec.Attempts != 1 || rec.Reason == "" || !rec.Started.IsZero() {
		r.Errorf("a failed try: %+v", rec)
	}
	if rec := step(state.Pending, state.Change{Retry: Long}); rec.Attempts != 2 || rec.Reason != "" || until(rec.NextTry, rec.Created) < Long-time.Minute {
		r.Errorf("another: %+v", rec)
	}
	rec := step(state.Copying, state.Change{})
	if rec.Attempts != 0 || !rec.NextTry.IsZero() || rec.Started.IsZero() {
		r.Errorf("forward: %+v", rec)
	}
	started := rec.Started
	step(state.Copying, state.Change{Retry: Long})
	if rec := step(state.Copying, state.Change{}); rec.Attempts != 1 || rec.NextTry.IsZero() {
		r.Errorf("without a retry the tries stay: %+v", rec)
	}
	if rec := step(state.Pending, state.Change{}); rec.Attempts != 1 {
		r.Errorf("backward: %+v", rec)
	}
	if rec := step(state.Copying, state.Change{Retry: Long, Fidelity: state.Exact}); rec.Attempts != 1 || rec.Started != started || rec.Fidelity != state.Exact {
		r.Errorf("forward with a retry: %+v", rec)
	}
	if rec := step(state.Tailing, state.Change{}); rec.Fidelity != state.Exact {
		r.Errorf("an empty fidelity replaced one: %+v", rec)
	}
	if rec := step(state.Tailing, state.Change{Again: Long}); rec.Attempts != 0 || until(rec.NextTry, rec.Created) < Long-time.Minute {
		r.Errorf("again later, without failure: %+v", rec)
	}
	if rec := step(state.Tailing, state.Change{Again: state.Never}); rec.Attempts != 0 || !rec.NextTry.IsZero() {
		r.Errorf("never again: %+v", rec)
	}
	step(state.Copying, state.Change{Retry: Long})
	if rec := step(state.Held, state.Change{Fidelity: state.Reset}); rec.Fidelity != state.Reset || rec.Attempts != 1 || rec.Started != started {
		r.Errorf("held: %+v", rec)
	}
	long := strings.Repeat("é", state.MaxReason) + "\xff"
	if rec := step(state.Held, state.Change{Reason: long}); len(rec.Reason) > state.MaxReason || !strings.HasPrefix(rec.Reason, "éé") || !same(rec, r.get("alice")) {
		r.Errorf("a long reason: %q", rec.Reason)
	}
}

func until(t, from time.Time) time.Duration { return t.Sub(from) }

func testChangeInvalid(r *rig) {
	l := r.acquire("alice")
	before := r.get("alice")
	for _, c := range []state.Change{{Fidelity: "perfect"}, {Retry: -time.Second}, {Again: -time.Second}, {Retry: 1, Again: 1}} {
		_, err := r.Store.Advance(r.ctx, l, state.Copying, c)
		r.want(fmt.Sprintf("%+v", c), err, state.ErrInvalid)
	}
	if !same(r.get("alice"), before) {
		r.Error("a refused change was written")
	}
}

func testReport(r *rig) {
	l := r.bring("alice", state.Copying)
	p := state.Progress{Folders: 3, Excluded: 2, Messages: 1 << 40, MessagesDone: 5, BytesDone: 1 << 60, Exceptions: 1, HoldMS: 7, Skipped: 4, Stragglers: 3, StragglersLeft: 1,
		LastStraggler: time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC), LastPass: time.Date(2030, 1, 2, 3, 4, 6, 0, time.UTC)}
	r.must(r.Store.Report(r.ctx, l, p))
	if rec := r.get("alice"); rec.Progress != p || rec.Phase != state.Copying {
		r.Errorf("after a report: %+v", rec)
	}
	p = state.Progress{Messages: 9}
	r.must(r.Store.Report(r.ctx, l, p))
	page, err := r.Store.List(r.ctx, 0, "", 9)
	r.must(err)
	if page[0].Progress != p {
		r.Errorf("listed after a report: %+v", page[0])
	}
	if rec := r.advance(l, state.Tailing); rec.Progress != p {
		r.Errorf("after an advance: %+v", rec)
	}
	r.must(r.Store.Release(r.ctx, l))
	if rec := r.get("alice"); rec.Progress != p {
		r.Errorf("after release: %+v", rec)
	}
}

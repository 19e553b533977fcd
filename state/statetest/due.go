package statetest

import (
	"fmt"
	"slices"
	"time"

	"imapferry/state"
)

// wantDue fails the test unless exactly these users are due, in this order.
func (r *rig) wantDue(what string, users ...string) {
	r.Helper()
	got, err := r.Store.Due(r.ctx, 1000)
	r.must(err)
	if !slices.Equal(got, users) {
		r.Errorf("%s: due are %q, want %q", what, got, users)
	}
}

func testDue(r *rig) {
	r.wantDue("an empty store")
	for _, p := range state.Phases {
		r.must(r.Store.Release(r.ctx, r.bring(p.String(), p)))
	}
	r.wantDue("each phase once", "pending", "copying", "tailing", "cutover", "migrated")
	l := r.acquire("copying")
	r.wantDue("one under lease", "pending", "tailing", "cutover", "migrated")
	r.must(r.Store.Release(r.ctx, l))
	r.wantDue("that one free again, so last of those to be moved", "pending", "tailing", "cutover", "copying", "migrated")

	r.must(r.Store.Release(r.ctx, r.retryLater("pending", 1)))
	r.wantDue("one to be tried later", "tailing", "cutover", "copying", "migrated")
	_, _, err := r.Store.Acquire(r.ctx, "tailing", "v", Short)
	r.must(err)
	r.outlast()
	r.wantDue("a lease that has ended", "cutover", "copying", "tailing", "migrated")
	r.must(r.Store.Renew(r.ctx, r.acquire("tailing"), Long))
	r.wantDue("taken over and renewed", "cutover", "copying", "migrated")
}

// A migrated user is due for straggler passes as long as there is one to come, behind all who are still to be moved.
func testDueMigrated(r *rig) {
	pass := func(user string, again time.Duration) {
		r.Helper()
		l := r.acquire(user)
		_, err := r.Store.Advance(r.ctx, l, state.Migrated, state.Change{Again: again})
		r.must(err)
		r.must(r.Store.Release(r.ctx, l))
	}
	for _, u := range []string{"a", "b", "c"} {
		r.must(r.Store.Release(r.ctx, r.bring(u, state.Migrated)))
	}
	r.offer("new")
	r.wantDue("just switched", "new", "a", "b", "c")
	if got, err := r.Store.Due(r.ctx, 2); err != nil || !slices.Equal(got, []string{"new", "a"}) {
		r.Errorf("Due(2) = %q, %v", got, err)
	}
	pass("a", Long)
	pass("b", state.Never)
	r.wantDue("one later, one never", "new", "c")
	pass("c", Short)
	r.outlast()
	r.wantDue("the time has come", "new", "c")
	for _, u := range []string{"b", "a"} {
		_, err := r.Store.Retry(r.ctx, u)
		r.must(err)
	}
	r.wantDue("made due", "new", "c", "b", "a")
	r.advance(r.acquire("c"), state.Finalized)
	r.wantDue("finalized", "new", "b", "a")
}

// A user waits since creation, since the end of the last lease or since the next try, whichever is latest.
func testDueOrder(r *rig) {
	r.offer("a", "b", "c", "d")
	r.wantDue("in order of creation", "a", "b", "c", "d")
	r.must(r.Store.Release(r.ctx, r.acquire("a")))
	r.wantDue("a was tried", "b", "c", "d", "a")
	l := r.acquire("b")
	_, err := r.Store.Advance(r.ctx, l, state.Pending, state.Change{Retry: Short})
	r.must(err)
	r.must(r.Store.Release(r.ctx, l))
	r.outlast()
	r.wantDue("b's try has come", "c", "d", "a", "b")
	_, _, err = r.Store.Acquire(r.ctx, "c", "v", Short)
	r.must(err)
	r.outlast()
	r.wantDue("c's worker died", "d", "a", "b", "c")
	_, err = r.Store.Retry(r.ctx, "a")
	r.must(err)
	r.wantDue("who is due already keeps the place", "d", "a", "b", "c")
	r.must(r.Store.Release(r.ctx, r.retryLater("d", 1)))
	_, err = r.Store.Retry(r.ctx, "d")
	r.must(err)
	r.wantDue("d was made due now", "a", "b", "c", "d")
}

// Users under lease take no place away from others.
func testDueLimit(r *rig) {
	var users []string
	for i := range 12 {
		users = append(users, fmt.Sprintf("u%02d", i))
	}
	r.offer(users...)
	for _, u := range users[:5] {
		r.acquire(u)
	}
	for _, limit := range []int{0, 1, 3, 7, 8} {
		got, err := r.Store.Due(r.ctx, limit)
		r.must(err)
		if want := users[5:min(5+limit, 12)]; !slices.Equal(got, want) {
			r.Errorf("Due(%d) = %q, want %q", limit, got, want)
		}
	}
	l, _, err := r.Store.Acquire(r.ctx, users[5], "v", Short)
	r.must(err)
	r.outlast()
	if got, err := r.Store.Due(r.ctx, 1); err != nil || !slices.Equal(got, users[6:7]) {
		r.Errorf("the lease of %s ended just now: Due(1) = %q, %v, want %q", l.User, got, err, users[6])
	}
	if got, err := r.Store.Due(r.ctx, -1); err != nil || len(got) > 0 {
		r.Errorf("Due(-1) = %q, %v", got, err)
	}
}

// However many are due, exactly those come first who have waited longest.
func testDueMany(r *rig) {
	var users []string
	for i := range 150 {
		users = append(users, fmt.Sprintf("user%03d@a.example", i*7%150))
	}
	r.offer(users...)
	for _, limit := range []int{1, 7, 100, 149, 150, 151} {
		got, err := r.Store.Due(r.ctx, limit)
		r.must(err)
		if want := users[:min(limit, 150)]; !slices.Equal(got, want) {
			r.Errorf("Due(%d) = %q, want %q", limit, got, want)
		}
	}
}

// A user in cutover is due when the worker is gone, although a next try is noted: clients wait.
func testDueCutover(r *rig) {
	l := r.bring("alice", state.Tailing)
	_, err := r.Store.Advance(r.ctx, l, state.Tailing, state.Change{Retry: Long})
	r.must(err)
	l = r.begin(l, "x")
	if rec := r.get("alice"); rec.Attempts != 1 || rec.NextTry.IsZero() {
		r.Errorf("the cutover reset the failed tries: %+v", rec)
	}
	r.wantDue("the worker lives")
	r.must(r.Store.Renew(r.ctx, l, Short))
	r.outlast()
	r.wantDue("the worker is gone", "alice")
	l = r.acquire("alice")
	r.must(r.Store.CallOff(r.ctx, l, "x", "taken over"))
	r.must(r.Store.Release(r.ctx, l))
	r.wantDue("called off, so the next try counts again")
}

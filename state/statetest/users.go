package statetest

import (
	"fmt"
	"slices"
	"strings"

	"imapferry/state"
)

func testOffer(r *rig) {
	first, err := r.Store.Offer(r.ctx, "alice@a.example")
	r.must(err)
	if first.User != "alice@a.example" || first.Phase != state.Pending || first.Created.IsZero() || first.Epoch != 0 || first.Owner != "" {
		r.Errorf("first offer: %+v", first)
	}
	again, err := r.Store.Offer(r.ctx, "alice@a.example")
	r.must(err)
	if !same(again, first) {
		r.Errorf("second offer: %+v, want %+v", again, first)
	}
	if got := r.get("alice@a.example"); !same(got, first) {
		r.Errorf("get: %+v, want %+v", got, first)
	}
	l := r.bring("alice@a.example", state.Tailing)
	late, err := r.Store.Offer(r.ctx, "alice@a.example")
	r.must(err)
	if late.Phase != state.Tailing || late.Epoch != l.Epoch || late.Owner != "w" {
		r.Errorf("offer of a user under way: %+v", late)
	}
	_, err = r.Store.Get(r.ctx, "bob@a.example")
	r.want("get of an unknown user", err, state.ErrUnknown)
	r.must(r.Store.Ping(r.ctx))
}

// What no store keeps is refused with a reason (I9), and what is odd but sound is kept.
func testNames(r *rig) {
	for _, bad := range []string{"", strings.Repeat("a", 1024), "a\x00b", "a\nb", "a\x7f", "a\u0085b", "\xff\xfe", "a\rb"} {
		_, err := r.Store.Offer(r.ctx, bad)
		r.want(fmt.Sprintf("offer %.20q", bad), err, state.ErrInvalid)
		_, err = r.Store.Get(r.ctx, bad)
		r.want(fmt.Sprintf("get %.20q", bad), err, state.ErrUnknown)
		_, err = r.Store.Claim(r.ctx, bad, []string{"t"})
		r.want(fmt.Sprintf("claim for %.20q", bad), err, state.ErrInvalid)
		_, err = r.Store.Retry(r.ctx, bad)
		r.want(fmt.Sprintf("retry %.20q", bad), err, state.ErrUnknown)
		_, _, err = r.Store.Acquire(r.ctx, bad, "w", Long)
		r.want(fmt.Sprintf("acquire %.20q", bad), err, state.ErrUnknown)
	}
	odd := []string{" ", "a b", "a{b}c", "{07}", "a:b", `"quoted"@a.example`, "ünïcode@a.example", "*", "[a]", "%s", strings.Repeat("x", state.MaxUser)}
	r.offer(odd...)
	page, err := r.Store.List(r.ctx, 0, "", 100)
	r.must(err)
	slices.Sort(odd)
	if got := names(page); !slices.Equal(got, odd) {
		r.Errorf("listed %q, want %q", got, odd)
	}
	for _, u := range odd {
		r.bring(u, state.Finalized)
	}
}

func names(page []state.Record) []string {
	users := make([]string, 0, len(page))
	for _, rec := range page {
		users = append(users, rec.User)
	}
	return users
}

func testList(r *rig) {
	r.offer("b", "d", "f")
	r.bring("c", state.Held)
	r.bring("a", state.Tailing)
	r.bring("e", state.Tailing)
	for _, c := range []struct {
		phase state.Phase
		after string
		limit int
		want  string
	}{
		{0, "", 100, "a b c d e f"},
		{0, "", 6, "a b c d e f"},
		{0, "", 2, "a b"},
		{0, "b", 2, "c d"},
		{0, "bb", 2, "c d"},
		{0, "f", 2, ""},
		{0, "", 0, ""},
		{0, "", -1, ""},
		{state.Pending, "", 100, "b d f"},
		{state.Pending, "", 1, "b"},
		{state.Pending, "b", 1, "d"},
		{state.Pending, "a", 9, "b d f"},
		{state.Tailing, "", 9, "a e"},
		{state.Tailing, "a", 9, "e"},
		{state.Held, "", 9, "c"},
		{state.Migrated, "", 9, ""},
		{state.Finalized, "", 9, ""},
	} {
		page, err := r.Store.List(r.ctx, c.phase, c.after, c.limit)
		r.must(err)
		if got := strings.Join(names(page), " "); got != c.want {
			r.Errorf("List(%v, %q, %d) = %q, want %q", c.phase, c.after, c.limit, got, c.want)
		}
		for _, rec := range page {
			if !same(rec, r.get(rec.User)) {
				r.Errorf("list and get differ on %s", rec.User)
			}
		}
	}
}

// Paging shows every user exactly once, whatever the size of the pages.
func testListMany(r *rig) {
	var want []string
	for i := range 150 {
		want = append(want, fmt.Sprintf("user%03d@a.example", i*7%150))
	}
	r.offer(want...)
	slices.Sort(want)
	for _, size := range []int{1, 7, 149, 150, 151} {
		var got []string
		for after := ""; ; {
			page, err := r.Store.List(r.ctx, state.Pending, after, size)
			r.must(err)
			got = append(got, names(page)...)
			if len(page) < size {
				break
			}
			after = page[len(page)-1].User
		}
		if !slices.Equal(got, want) {
			r.Errorf("pages of %d: %d users, want %d in order", size, len(got), len(want))
		}
	}
}

func testCounts(r *rig) {
	check := func(want map[state.Phase]int64) {
		r.Helper()
		got, err := r.Store.Counts(r.ctx)
		r.must(err)
		for _, p := range state.Phases {
			if got[p] != want[p] {
				r.Errorf("%d users are %v, want %d", got[p], p, want[p])
			}
		}
	}
	check(nil)
	want := map[state.Phase]int64{}
	for i, p := range state.Phases {
		for j := range i + 1 {
			r.bring(fmt.Sprintf("%v%d", p, j), p)
			want[p]++
		}
	}
	check(want)
	r.offer("pending0")
	check(want)
	_, err := r.Store.Retry(r.ctx, "held0")
	r.must(err)
	want[state.Held]--
	want[state.Pending]++
	check(want)
}

func testRetry(r *rig) {
	_, err := r.Store.Retry(r.ctx, "nobody")
	r.want("retry of an unknown user", err, state.ErrUnknown)

	l := r.acquire("held")
	_, err = r.Store.Advance(r.ctx, l, state.Pending, state.Change{Reason: "no", Retry: Long})
	r.must(err)
	_, err = r.Store.Advance(r.ctx, l, state.Held, state.Change{Reason: "target holds mail of unknown origin"})
	r.must(err)
	r.must(r.Store.Release(r.ctx, l))
	r.wantDue("a held user is not due")
	rec, err := r.Store.Retry(r.ctx, "held")
	r.must(err)
	if rec.Phase != state.Pending || rec.Reason != "" || rec.Attempts != 0 || !rec.NextTry.IsZero() {
		r.Errorf("after held: %+v", rec)
	}
	if !same(rec, r.get("held")) {
		r.Error("retry returned something else than the record")
	}
	r.wantDue("a user out of held is due", "held")
	r.must(r.Store.Release(r.ctx, r.retryLater("held", 2)))
	r.wantDue("a try that has not come")
	rec, err = r.Store.Retry(r.ctx, "held")
	r.must(err)
	if rec.Attempts != 2 || rec.Reason != "later" || rec.Phase != state.Pending {
		r.Errorf("after retry: %+v", rec)
	}
	r.wantDue("the next try is due now", "held")

	r.bring("finalized", state.Finalized)
	before := r.get("finalized")
	_, err = r.Store.Retry(r.ctx, "finalized")
	r.want("retry of a user who is finalized", err, state.ErrPhase)
	if !same(r.get("finalized"), before) {
		r.Error("a refused retry changed the record")
	}
}

func testPark(r *rig) {
	_, err := r.Store.Park(r.ctx, "nobody")
	r.want("park for an unknown user", err, state.ErrUnknown)
	for _, p := range state.Phases {
		r.bring(p.String(), p)
		rec, err := r.Store.Park(r.ctx, p.String())
		if p.OnTarget() {
			r.want("park for a user who is "+p.String(), err, state.ErrPhase)
			continue
		}
		r.must(err)
		if now := r.get(p.String()); !same(rec, now) || !rec.Park {
			r.Errorf("%v: %+v, then %+v", p, rec, now)
		}
	}
	rec, err := r.Store.Retry(r.ctx, state.Held.String())
	r.must(err)
	if !rec.Park || rec.Phase != state.Pending {
		r.Errorf("after retry: %+v", rec)
	}
}

// A release stands until the switch, over every cutover that is called off, and makes the next try due.
func testReleaseUser(r *rig) {
	_, err := r.Store.ReleaseUser(r.ctx, "nobody")
	r.want("release of an unknown user", err, state.ErrUnknown)
	for _, p := range state.Phases {
		r.bring(p.String(), p)
		rec, err := r.Store.ReleaseUser(r.ctx, p.String())
		if p.OnTarget() {
			r.want("release of a user who is "+p.String(), err, state.ErrPhase)
			continue
		}
		r.must(err)
		if now := r.get(p.String()); !same(rec, now) || !rec.Released || rec.Phase != p {
			r.Errorf("%v: %+v, then %+v", p, rec, now)
		}
	}
	l := r.bring("alice", state.Tailing)
	_, err = r.Store.Advance(r.ctx, l, state.Tailing, state.Change{Reason: "ready", Again: Long})
	r.must(err)
	r.must(r.Store.Release(r.ctx, l))
	rec, err := r.Store.ReleaseUser(r.ctx, "alice")
	r.must(err)
	if rec.Phase != state.Tailing || rec.Reason != "ready" || rec.NextTry.IsZero() || rec.NextTry.Sub(rec.Created) > Long/2 {
		r.Errorf("released: %+v", rec)
	}
	r.Reopen()
	r.outlast()
	due, err := r.Store.Due(r.ctx, 99)
	r.must(err)
	if !slices.Contains(due, "alice") {
		r.Errorf("due are %q, without the released one", due)
	}
	l = r.acquire("alice")
	if rec, err = r.Store.Advance(r.ctx, l, state.Tailing, state.Change{Reason: "ready", Again: Long}); err != nil || !rec.Released {
		r.Errorf("the worker is not told of the release: %+v, %v", rec, err)
	}
	l = r.begin(l, "x")
	r.must(r.Store.CallOff(r.ctx, l, "x", "off"))
	l = r.begin(l, "y")
	if rec := r.get("alice"); !rec.Released {
		r.Errorf("a cutover that was called off has used the release up: %+v", rec)
	}
	r.must(r.Store.Commit(r.ctx, l, "y"))
	if rec, err := r.Store.Switch(r.ctx, l, "y", 0); err != nil || rec.Released {
		r.Errorf("switched: %+v, %v", rec, err)
	}
}

// retryLater notes times failed tries, the next one to come after Long.
func (r *rig) retryLater(user string, times int) state.Lease {
	r.Helper()
	l := r.acquire(user)
	for range times {
		_, err := r.Store.Advance(r.ctx, l, r.get(user).Phase, state.Change{Reason: "later", Retry: Long})
		r.must(err)
	}
	return l
}

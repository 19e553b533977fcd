package statetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"imapferry/state"
)

// history is one random run of a store beside the model.
type history struct {
	*rig
	*rand.Rand
	m      *model
	leases []state.Lease // all that were given, newest last
	nodes  []state.Node  // all that joined
	holds  []state.Hold  // all that were seen in inboxes
	log    []string
}

const (
	historySteps = 1200
	checkEach    = 15 // steps between comparisons of everything
)

// testRandom walks a store and the model through the same history and compares every answer, the changed record after
// every step, and counts, lists, queue, nodes, inboxes and folders now and then. So the counters and indexes always
// equal a recount.
func testRandom(r *rig) {
	seed := uint64(time.Now().UnixNano())
	r.Logf("seed %d", seed)
	h := &history{rig: r, Rand: rand.New(rand.NewPCG(seed, 0)), m: newModel()}
	for i := range historySteps {
		h.m.now += tick
		h.step()
		if i%checkEach == 0 {
			h.compare()
		}
		if r.Failed() {
			for _, line := range h.log[max(0, len(h.log)-40):] {
				r.Log(line)
			}
			r.FailNow()
		}
	}
	h.compare()
}

func pick[T any](h *history, from []T) (one T) {
	if len(from) == 0 {
		return one
	}
	return from[h.IntN(len(from))]
}

// user is one of a few, so that histories collide.
func (h *history) user() string { return fmt.Sprintf("u%d", h.IntN(7)) }

// lease is mostly the newest of a user, sometimes any.
func (h *history) lease() state.Lease {
	if len(h.leases) == 0 || h.IntN(8) == 0 {
		return cmp.Or(pick(h, h.leases), state.Lease{User: h.user(), Owner: "w0", Epoch: 1})
	}
	l := pick(h, h.leases[max(0, len(h.leases)-12):])
	for _, newer := range h.leases {
		if newer.User == l.User {
			l = newer
		}
	}
	return l
}

func (h *history) attempt(user string) string {
	if a := h.m.users[user]; a != nil && h.IntN(6) > 0 {
		return a.Attempt
	}
	return fmt.Sprintf("try%d", h.IntN(3))
}

// same compares two errors by the sentinel, and then the record of user.
func (h *history) same(what, user string, got, want error) {
	h.Helper()
	h.log = append(h.log, fmt.Sprintf("%s %s: %v", what, user, got))
	if (got == nil) != (want == nil) || !errors.Is(got, want) {
		h.Errorf("%s %s: error is %v, want %v", what, user, got, want)
	}
	if user != "" {
		h.record(user)
	}
}

// record compares a user's record with the model.
func (h *history) record(user string) {
	h.Helper()
	got, err := h.Store.Get(h.ctx, user)
	a := h.m.users[user]
	if a == nil {
		h.want("get "+user, err, state.ErrUnknown)
		return
	}
	h.must(err)
	h.wantRecord(got, a)
}

func (h *history) wantRecord(got state.Record, a *account) {
	h.Helper()
	want := a.Record
	if !a.leased(h.m.now) {
		want.Owner = ""
	}
	for _, c := range []struct {
		name string
		got  time.Time
		want bool
	}{
		{"created", got.Created, true}, {"started", got.Started, a.started}, {"migrated", got.Migrated, a.migrated},
		{"lease", got.LeaseUntil, want.Owner != ""}, {"next try", got.NextTry, a.nextTry != 0}, {"deadline", got.Deadline, a.deadline != 0},
	} {
		if !c.got.IsZero() != c.want {
			h.Errorf("%s: %s is %v, want one: %v", got.User, c.name, c.got, c.want)
		}
	}
	got.Created, got.Started, got.Migrated = time.Time{}, time.Time{}, time.Time{}
	got.LeaseUntil, got.NextTry, got.Deadline = time.Time{}, time.Time{}, time.Time{}
	if !same(got, want) {
		h.Errorf("record is\n%+v, want\n%+v", got, want)
	}
}

// compare compares everything that can be read.
func (h *history) compare() {
	h.Helper()
	var all []state.Record
	counts, err := h.Store.Counts(h.ctx)
	h.must(err)
	for _, p := range state.Phases {
		page, err := h.Store.List(h.ctx, p, "", 1000)
		h.must(err)
		if int64(len(page)) != counts[p] {
			h.Errorf("%d users are counted as %v, %d are listed", counts[p], p, len(page))
		}
		for _, rec := range page {
			if rec.Phase != p {
				h.Errorf("%s is listed as %v and is %v", rec.User, p, rec.Phase)
			}
		}
		all = append(all, page...)
	}
	slices.SortFunc(all, func(a, b state.Record) int { return cmp.Compare(a.User, b.User) })
	if want := slices.Sorted(maps.Keys(h.m.users)); !slices.Equal(names(all), want) {
		h.Errorf("listed are %q, want %q", names(all), want)
	}
	whole, err := h.Store.List(h.ctx, 0, "", 1000)
	h.must(err)
	if !slices.EqualFunc(whole, all, same) {
		h.Errorf("the list of all is not the lists of the phases")
	}
	for _, rec := range all {
		a := h.m.users[rec.User]
		h.wantRecord(rec, a)
		h.wantFolders("history", rec.User, slices.Collect(maps.Values(a.folders))...)
		h.wantHold(a)
	}
	h.wantDue("history", h.m.due()...)
	h.wantLive("history", h.m.live()...)
	h.inboxes()
}

// wantHold compares which nodes a user's cutover waits for.
func (h *history) wantHold(a *account) {
	h.Helper()
	if a.Phase != state.Cutover {
		_, err := h.Store.Waiting(h.ctx, a.User, a.Attempt)
		h.want("waiting", err, state.ErrPhase)
		_, err = h.Store.Touched(h.ctx, a.User, a.Attempt)
		h.want("touched", err, state.ErrPhase)
		_, err = h.Store.Sessions(h.ctx, a.User, a.Attempt)
		h.want("sessions", err, state.ErrPhase)
		return
	}
	want := h.m.waitingFor(a)
	slices.SortFunc(want, func(a, b state.Node) int { return cmp.Compare(a.Name, b.Name) })
	h.wantWaiting("history", a.User, a.Attempt, want...)
	h.wantSessions("history", a.User, a.Attempt, a.sessions)
	h.wantTouched("history", a.User, a.Attempt, slices.Concat(slices.Collect(maps.Values(a.touched))...)...)
}

// inboxes compares the inbox of each node that lives, and remembers the holds.
func (h *history) inboxes() {
	h.Helper()
	for _, n := range h.m.live() {
		var want []state.Hold
		for _, user := range slices.Sorted(maps.Keys(h.m.users)) {
			if a := h.m.users[user]; a.Phase == state.Cutover && a.waiting[n] {
				want = append(want, state.Hold{User: user, Epoch: a.attemptEpoch, Attempt: a.Attempt})
			}
		}
		h.wantInbox("history", n, want...)
		h.holds = append(h.holds, want...)
	}
	h.holds = h.holds[max(0, len(h.holds)-30):]
}

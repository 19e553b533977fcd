package statetest

import (
	"fmt"
	"time"

	"imapferry/state"
)

// step does one random thing, to the store and to the model. What runs Short is outlasted at once, so that the clock
// of the store never decides.
func (h *history) step() {
	steps := []struct {
		weight int
		run    func()
	}{
		{6, h.stepOffer}, {14, h.stepAcquire}, {3, h.stepRenew}, {4, h.stepRelease}, {30, h.stepAdvance}, {4, h.stepReport}, {6, h.stepFolder},
		{10, h.stepBegin}, {14, h.stepAcknowledge}, {4, h.stepCallOff}, {8, h.stepCommit}, {8, h.stepSwitch},
		{4, h.stepRetry}, {1, h.stepPark}, {2, h.stepReleaseUser}, {6, h.stepTally}, {3, h.stepClaim}, {3, h.stepNode},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := h.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.run()
			return
		}
	}
}

// span is mostly long.
func (h *history) span() (time.Duration, int) {
	if h.IntN(10) == 0 {
		return Short, short
	}
	return Long, long
}

// spend lets what was short end. A dead node is dead when somebody has looked.
func (h *history) spend(d time.Duration) {
	if d == Short {
		h.outlast()
		h.m.now += tick
		_, err := h.Store.Live(h.ctx)
		h.must(err)
	}
}

func (h *history) stepOffer() {
	user := h.user()
	_, err := h.Store.Offer(h.ctx, user)
	h.m.offer(user)
	h.same("offer", user, err, nil)
}

func (h *history) stepAcquire() {
	user, owner := h.user(), fmt.Sprintf("w%d", h.IntN(3))
	d, ttl := h.span()
	got, _, err := h.Store.Acquire(h.ctx, user, owner, d)
	want, wantErr := h.m.acquire(user, owner, ttl)
	h.spend(d)
	h.same("acquire", user, err, wantErr)
	if got != want {
		h.Errorf("lease is %+v, want %+v", got, want)
	}
	if err == nil {
		h.leases = append(h.leases, got)
	}
}

func (h *history) stepRenew() {
	l := h.lease()
	d, ttl := h.span()
	err := h.Store.Renew(h.ctx, l, d)
	want := h.m.renew(l, ttl)
	h.spend(d)
	h.same("renew", l.User, err, want)
}

func (h *history) stepRelease() {
	l := h.lease()
	h.same("release", l.User, h.Store.Release(h.ctx, l), h.m.release(l))
}

func (h *history) stepAdvance() {
	l := h.lease()
	to := pick(h, state.Phases)
	if a := h.m.users[l.User]; a != nil && h.IntN(2) == 0 { // mostly onward, else few would get far
		to = min(a.Phase+1, state.Finalized)
	}
	c := state.Change{Reason: pick(h, []string{"", "why"}), Fidelity: pick(h, []state.Fidelity{"", "", state.Exact, state.Translated, state.Reset})}
	retry, again := 0, 0
	switch h.IntN(8) {
	case 0, 1:
		c.Retry, retry = h.span()
	case 2:
		c.Again, again = h.span()
	case 3:
		c.Again = state.Never
	}
	_, err := h.Store.Advance(h.ctx, l, to, c)
	want := h.m.advance(l, to, c, retry, again)
	h.spend(c.Retry)
	h.spend(c.Again)
	h.same("advance to "+to.String(), l.User, err, want)
}

func (h *history) stepReport() {
	l, p := h.lease(), state.Progress{Messages: h.Int64N(100), HoldMS: h.Int64N(100), Skipped: h.Int64N(2), Stragglers: h.Int64N(100), LastPass: time.Unix(h.Int64N(100), 1000).UTC()}
	err := h.Store.Report(h.ctx, l, p)
	a, want := h.m.held(l)
	if want == nil {
		a.Progress = p
	}
	h.same("report", l.User, err, want)
}

func (h *history) stepFolder() {
	l, f := h.lease(), state.Folder{Name: fmt.Sprintf("f%d\xff", h.IntN(4)), UIDNext: h.Uint32()}
	a, want := h.m.held(l)
	if h.IntN(4) == 0 {
		err := h.Store.DeleteFolder(h.ctx, l, f.Name)
		if want == nil {
			delete(a.folders, f.Name)
		}
		h.same("delete folder", l.User, err, want)
		return
	}
	err := h.Store.PutFolders(h.ctx, l, f)
	if want == nil {
		a.folders[f.Name] = f
	}
	h.same("put folder", l.User, err, want)
}

func (h *history) stepBegin() {
	l, attempt := h.lease(), fmt.Sprintf("try%d", h.IntN(3))
	d, budget := h.span()
	got, _, err := h.Store.BeginCutover(h.ctx, l, attempt, d)
	next, want := h.m.begin(l, attempt, budget)
	h.spend(d)
	h.same("begin", l.User, err, want)
	if err == nil {
		if got != next {
			h.Errorf("lease is %+v, want %+v", got, next)
		}
		h.leases = append(h.leases, got)
		h.inboxes()
	}
}

func (h *history) stepAcknowledge() {
	n, hold := pick(h, h.nodes), pick(h, h.holds)
	if live := h.m.live(); len(live) > 0 && h.IntN(4) > 0 {
		n = pick(h, live)
	}
	var touched []state.Touched
	for i := range h.IntN(4) {
		touched = append(touched, state.Touched{Folder: fmt.Sprint("f", i), Age: time.Duration(h.IntN(1000)), UID: uint32(h.IntN(3))})
	}
	sessions := h.IntN(3)
	h.same("acknowledge by "+n.Name, hold.User, h.Store.Acknowledge(h.ctx, n, hold, sessions, touched), h.m.acknowledge(n, hold, sessions, touched))
}

func (h *history) stepCallOff() {
	l := h.lease()
	if h.IntN(2) == 0 {
		l = state.Lease{User: l.User}
	}
	attempt := h.attempt(l.User)
	h.same(fmt.Sprintf("call off %s by %q", attempt, l.Owner), l.User, h.Store.CallOff(h.ctx, l, attempt, "off"), h.m.callOff(l, attempt, "off"))
}

func (h *history) stepCommit() {
	l := h.lease()
	attempt := h.attempt(l.User)
	h.same("commit "+attempt, l.User, h.Store.Commit(h.ctx, l, attempt), h.m.commit(l, attempt))
}

func (h *history) stepSwitch() {
	l := h.lease()
	attempt := h.attempt(l.User)
	_, err := h.Store.Switch(h.ctx, l, attempt, 7*time.Millisecond)
	h.same("switch "+attempt, l.User, err, h.m.flip(l, attempt, 7))
}

func (h *history) stepRetry() {
	user := h.user()
	_, err := h.Store.Retry(h.ctx, user)
	h.same("retry", user, err, h.m.retry(user))
}

func (h *history) stepPark() {
	user := h.user()
	_, err := h.Store.Park(h.ctx, user)
	h.same("park", user, err, h.m.park(user))
}

func (h *history) stepReleaseUser() {
	user := h.user()
	_, err := h.Store.ReleaseUser(h.ctx, user)
	h.same("release user", user, err, h.m.releaseUser(user))
}

func (h *history) stepTally() {
	user := h.user()
	ended := map[string]int64{}
	for range h.IntN(3) {
		ended[pick(h, []string{"view", "restless", state.EndedOther, fmt.Sprint("reason-", h.IntN(2*state.MaxEnded))})] = h.Int64N(3)
	}
	err := h.Store.Tally(h.ctx, user, 1, ended)
	want := h.m.tally(user, 1, ended)
	h.same("tally", user, err, want)
}

func (h *history) stepClaim() {
	user := h.user()
	tokens := []string{fmt.Sprint(h.IntN(9)), fmt.Sprint(h.IntN(9))}
	got, err := h.Store.Claim(h.ctx, user, tokens)
	h.must(err)
	if want := h.m.claim(user, tokens); got != want {
		h.Errorf("claim of %q for %s: bound to %q, want %q", tokens, user, got, want)
	}
}

// stepNode lets a node come, go, live or die.
func (h *history) stepNode() {
	n := pick(h, h.nodes)
	d, ttl := h.span()
	switch h.IntN(3) {
	case 0:
		name := fmt.Sprintf("n%d", h.IntN(3))
		former := pick(h, []string{"made up", h.m.nodes[name].Incarnation})
		has, taken := h.m.join(name, former)
		n, err := h.Store.Join(h.ctx, name, d, former)
		if taken {
			h.log = append(h.log, fmt.Sprintf("join %s: %v", name, err))
			h.wantTaken("history", has, err)
			return
		}
		h.must(err)
		h.m.nodes[name], h.m.until[name] = n, h.m.now+ttl
		h.nodes = append(h.nodes, n)
		h.spend(d)
	case 1:
		err := h.Store.Beat(h.ctx, n, d)
		want := h.m.beat(n, ttl)
		h.spend(d)
		h.same("beat of "+n.Name, "", err, want)
	case 2:
		h.must(h.Store.Leave(h.ctx, n))
		if h.m.alive(n) {
			delete(h.m.nodes, n.Name)
		}
	}
}

package migrate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// waits waits until a look has ended in waiting, and the worker has given alice back, and demands that the reason says all of words and
// that nothing counts as failed.
func (s *stage) waits(words ...string) state.Record {
	s.t.Helper()
	rec := s.await("waiting", func(r state.Record) bool {
		return strings.HasPrefix(r.Reason, "ready; waits ") && r.Phase == state.Tailing && r.Owner == "" || r.Phase.OnTarget() || r.Phase == state.Held
	})
	s.says(rec, words)
	if rec.Phase != state.Tailing || rec.Attempts != 0 || !rec.NextTry.After(time.Now()) {
		s.t.Errorf("waiting: %+v", rec)
	}
	return rec
}

// looked waits until the engine has done what offers and hints have made it do.
func (s *stage) looked() {
	s.t.Helper()
	s.await("looked at", func(state.Record) bool {
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		c := s.engine.users["alice"]
		return c != nil && !c.busy && !c.fresh && time.Now().Before(c.retryAt)
	})
}

// loginsCostNothing offers alice many times and demands that it costs no look.
func (s *stage) loginsCostNothing(before state.Record) {
	s.t.Helper()
	for range 20 {
		s.engine.Offer("alice", "pass")
		s.looked()
	}
	if rec, err := s.store.Get(s.ctx, "alice"); err != nil || rec.Epoch != before.Epoch || !rec.NextTry.Equal(before.NextTry) {
		s.t.Errorf("logins of one who waits: %+v became %+v, %v", before, rec, err)
	}
}

func (s *stage) release() {
	s.t.Helper()
	if _, err := s.store.ReleaseUser(s.ctx, "alice"); err != nil {
		s.t.Fatal(err)
	}
}

// TestManual: nobody is switched before an operator says so; then at once, with what has come meanwhile (I1). The engine is not
// woken: the operator has asked another node.
func TestManual(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.settings.Cutover = CutoverManual
	s.start()
	rec := s.waits("ready; waits for `imapferry cutover alice`")
	if rec.Attempt != "" || time.Until(rec.NextTry) > firstPass {
		t.Errorf("waiting: %+v", rec)
	}
	s.loginsCostNothing(rec)
	s.src.deliver("Work", 9)
	s.release()
	s.migrated()
	if rec := s.await("free", func(r state.Record) bool { return r.Owner == "" }); rec.Released {
		t.Errorf("switched: %+v", rec)
	}
}

// TestManualRetry: an operator's retry makes a pass, and the user waits on, for longer.
func TestManualRetry(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.settings.Cutover = CutoverManual
	s.start()
	first := s.waits()
	s.src.deliver("Work", 9)
	s.retry()
	s.await("looked at again", func(r state.Record) bool { return r.Epoch > first.Epoch && time.Until(r.NextTry) > firstPass })
	if second := s.waits(); time.Until(second.NextTry) > 2*firstPass || second.Messages != first.Messages+1 {
		t.Errorf("looked at again: %+v", second)
	}
}

// TestReleasedEarly: who is released before the copy has begun does not wait, neither does one released before a restart.
func TestReleasedEarly(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.settings.Cutover = CutoverManual
	if _, err := s.store.Offer(s.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	s.release()
	s.start()
	s.migrated()
}

// releasing releases alice just before it is written that she waits, just after, or just after a later look has read it. The engine hears
// of nothing but, but for the first case, of that.
type releasing struct {
	*boltstate.Store
	when  string
	hints chan string
	heard func() bool
}

func (r *releasing) Watch(context.Context) <-chan string { return r.hints }

func (r *releasing) Advance(ctx context.Context, l state.Lease, to state.Phase, c state.Change) (state.Record, error) {
	ready := strings.HasPrefix(c.Reason, "ready")
	if ready && r.when == "before" {
		if _, err := r.ReleaseUser(ctx, l.User); err != nil {
			return state.Record{}, err
		}
	}
	rec, err := r.Store.Advance(ctx, l, to, c)
	if ready && r.when == "after" {
		err = errors.Join(err, r.release(ctx, l.User))
	}
	return rec, err
}

func (r *releasing) Offer(ctx context.Context, user string) (state.Record, error) {
	rec, err := r.Store.Offer(ctx, user)
	if r.when == "read" && strings.HasPrefix(rec.Reason, "ready") && !rec.Released {
		err = errors.Join(err, r.release(ctx, user))
	}
	return rec, err
}

// release returns when the engine has heard of it.
func (r *releasing) release(ctx context.Context, user string) error {
	_, err := r.ReleaseUser(ctx, user)
	r.hints <- user
	for !r.heard() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	return err
}

// TestReleasedMeanwhile: no release is lost, however close it comes.
func TestReleasedMeanwhile(t *testing.T) {
	for _, when := range []string{"before", "after", "read"} {
		s := small(newStage(t, batchCaps))
		s.settings.Cutover = CutoverManual
		r := &releasing{Store: s.store, when: when, hints: make(chan string)}
		r.heard = func() bool {
			s.engine.mu.Lock()
			defer s.engine.mu.Unlock()
			return s.engine.users["alice"].hinted
		}
		t.Cleanup(func() { close(r.hints) })
		s.wrap = func(*boltstate.Store) Store { return r }
		s.start()
		if when == "read" {
			s.waits()
			s.looked()
			s.engine.Offer("alice", "pass") // a login
		}
		s.migrated()
	}
}

// TestIdle: while this node has sessions nobody is held; when the last one is gone the user is switched, without another login.
func TestIdle(t *testing.T) {
	s := small(newStage(t, batchCaps))
	var open atomic.Int64
	open.Store(2)
	s.settings.Cutover, s.sessions = CutoverIdle, func(user string) int {
		if user != "alice" {
			t.Errorf("sessions of %s were asked for", user)
		}
		return int(open.Load())
	}
	s.start()
	rec := s.waits("ready; waits until the user has no session (2 open on node one); `imapferry cutover alice` does not")
	if rec.Attempt != "" {
		t.Errorf("sessions were held: %+v", rec)
	}
	s.loginsCostNothing(rec)
	s.src.deliver("Work", 9)
	open.Store(0)
	s.migrated()
}

// TestIdleElsewhere: sessions on another node are found out by a hold, which is called off and repeated seldom, whatever comes and
// goes here.
func TestIdleElsewhere(t *testing.T) {
	s := small(newStage(t, batchCaps))
	var here, there atomic.Int64
	there.Store(3)
	joinHolding(t, s.ctx, s.store, "two", func() int { return int(there.Load()) }, tells())
	joinNode(t, s.ctx, s.store, "three", tells())
	s.settings.Cutover, s.sessions = CutoverIdle, func(string) int { return int(here.Load()) }
	s.start()
	rec := s.waits("waits until the user has no session (3 open on node two);")
	if off := time.Until(rec.NextTry); !(state.Hold{Attempt: rec.Attempt}).Idle() || off > firstElsewhere {
		t.Errorf("the next look is off by %s: %+v", off, rec)
	}
	s.loginsCostNothing(rec)
	here.Store(1)
	s.loginsCostNothing(rec)
	here.Store(0)
	s.await("seen to have left", func(state.Record) bool {
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		return s.engine.users["alice"].left
	})
	s.loginsCostNothing(rec)

	there.Store(0)
	s.engine.mu.Lock()
	s.engine.users["alice"].notBefore = time.Now()
	s.engine.mu.Unlock()
	s.engine.Offer("alice", "pass")
	s.migrated()
}

// TestIdleReleased: who is released does not wait for sessions, here or there.
func TestIdleReleased(t *testing.T) {
	s := small(newStage(t, batchCaps))
	joinHolding(t, s.ctx, s.store, "two", func() int { return 1 }, tells())
	s.settings.Cutover, s.sessions = CutoverIdle, func(string) int { return 1 }
	s.start()
	s.waits("1 open on node one")
	s.release()
	s.migrated()
	if rec := s.await("free", func(r state.Record) bool { return r.Owner == "" }); (state.Hold{Attempt: rec.Attempt}).Idle() {
		t.Errorf("sessions that spoil it would not be blamed: %+v", rec)
	}
}

// TestIdleLate: a node that cannot hold at once has a session that is busy. That is no failure.
func TestIdleLate(t *testing.T) {
	s := small(newStage(t, batchCaps))
	joinHolding(t, s.ctx, s.store, "two", func() int { return -1 }, tells())
	s.settings.Cutover, s.settings.HoldBudget = CutoverIdle, 2*time.Second
	s.start()
	s.waits("(node two cannot hold its own at once)")
}

// TestWindowClosed: outside of the windows nobody is switched, and the next look comes no later than the next window opens.
func TestWindowClosed(t *testing.T) {
	s := small(newStage(t, batchCaps))
	clock := func(in time.Duration) string { return time.Now().Add(in).Format("15:04") }
	text := clock(3*time.Hour) + "-" + clock(4*time.Hour)
	s.settings.CutoverWindows = []string{text}
	s.start()
	rec := s.waits("ready; waits for migrate.cutover_windows (" + text + "); `imapferry cutover alice` does not")
	s.loginsCostNothing(rec)
	s.stop()
	s.settings.CutoverWindows = append(s.settings.CutoverWindows, clock(-time.Hour)+"-"+clock(time.Hour))
	s.start()
	s.migrated()
}

// TestRests: who waits is left alone until the time for the next look has come, or what the user waits for.
func TestRests(t *testing.T) {
	now := time.Now()
	later, wait := now.Add(time.Hour), func(off time.Duration) time.Time { return now.Add(off) }
	tailing := state.Record{User: "alice", Phase: state.Tailing, NextTry: later}
	with := func(edit func(*state.Record)) state.Record { r := tailing; edit(&r); return r }
	left := patience{left: true}
	for _, c := range []struct {
		name    string
		policy  Policy
		open    int // sessions
		rec     state.Record
		p       patience
		rests   bool
		most    time.Duration // until the next look
		watched bool
	}{
		{"manual", CutoverManual, 1, tailing, left, true, time.Hour, false},
		{"manual, released", CutoverManual, 1, with(func(r *state.Record) { r.Released = true }), patience{}, false, 0, false},
		{"its time has come", CutoverManual, 0, with(func(r *state.Record) { r.NextTry = now }), patience{}, false, 0, false},
		{"has failed before", CutoverManual, 0, with(func(r *state.Record) { r.Attempts = 1 }), patience{}, false, 0, false},
		{"is not ready", CutoverManual, 0, with(func(r *state.Record) { r.Phase = state.Copying }), patience{}, false, 0, false},
		{"another policy since", CutoverLive, 1, tailing, patience{}, false, 0, false},
		{"idle, sessions here", CutoverIdle, 1, tailing, patience{}, true, time.Hour, true},
		{"idle, sessions here again", CutoverIdle, 1, tailing, left, true, time.Hour, true},
		{"idle, sessions elsewhere", CutoverIdle, 0, tailing, patience{}, true, time.Hour, false},
		{"idle, the last one has left", CutoverIdle, 0, tailing, left, false, 0, false},
		{"idle, the last one has left, others had not", CutoverIdle, 0, tailing, patience{left: true, notBefore: wait(time.Minute)}, true, time.Minute, false},
		{"idle, released", CutoverIdle, 1, with(func(r *state.Record) { r.Released = true }), patience{}, false, 0, false},
	} {
		e := &Engine{cfg: Config{Settings: Settings{Cutover: c.policy}, Sessions: func(string) int { return c.open }}}
		out, rests := e.rests(c.rec, c.p)
		if rests != c.rests || out.rests != c.rests || out.watched != c.watched || out.again > c.most || out.again < c.most-time.Minute/2 {
			t.Errorf("%s: rests %v, %+v; want %v, for %s, watched %v", c.name, rests, out, c.rests, c.most, c.watched)
		}
	}
}

func TestPatience(t *testing.T) {
	here, elsewhere := &waiting{here: true}, &waiting{elsewhere: true}
	var p patience
	distances := func(w *waiting, times int) (all []time.Duration) {
		for range times {
			one := *w
			one.again = p.next(w, 0)
			p = p.after(outcome{waiting: &one})
			p = p.after(outcome{rests: true}) // which changes nothing
			all = append(all, one.again)
		}
		return all
	}
	const m = time.Minute
	for _, c := range []struct {
		w    *waiting
		want []time.Duration
	}{
		{here, []time.Duration{5 * m, 10 * m, 20 * m, 40 * m, 80 * m, 120 * m, 120 * m}},
		{elsewhere, []time.Duration{m / 2, m, 2 * m, 4 * m, 8 * m, 10 * m}},
		{here, []time.Duration{5 * m, 10 * m}},
	} {
		if got := distances(c.w, len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("distances are %v; want %v", got, c.want)
		}
	}
	for _, opens := range []time.Duration{time.Second, m, time.Hour} {
		if d := p.next(here, opens); d != min(opens, 20*m) {
			t.Errorf("%s before a window the next look is off by %s", opens, d)
		}
	}
	for range 100 {
		if d := distances(here, 1)[0]; d <= 0 || d > mostPass {
			t.Fatalf("a distance of %s", d)
		}
	}
	left := patience{waits: true, looks: 3, left: true}
	for _, c := range []struct {
		name string
		out  outcome
		want patience
	}{
		{"others have the user, sessions here", outcome{busy: true, watched: true}, patience{waits: true, looks: 3, watched: true}},
		{"others have the user", outcome{busy: true}, left},
		{"not yet", outcome{rests: true}, left},
		{"sessions here again", outcome{rests: true, watched: true}, patience{waits: true, looks: 3, watched: true}},
		{"looked", outcome{waiting: here, watched: true}, patience{waits: true, looks: 4, watched: true}},
	} {
		if got := left.after(c.out); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	if p = p.after(outcome{}); p != (patience{}) {
		t.Errorf("who waits no more is remembered: %+v", p)
	}
}

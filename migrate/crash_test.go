package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// course is one way through the engine: what the servers can do decides which one.
type course struct {
	name   string
	source string // capabilities
	target string
	exact  bool
}

var courses = []course{
	{"exact with QRESYNC", "ENABLE CONDSTORE QRESYNC UNSELECT", batchCaps + " UNSELECT", true},
	{"translated without extensions", plainCaps, plainCaps, false},
	{"translated with APPENDs under way", plainCaps, "LITERAL+", false},
}

// ordeal is a representative run in which something goes wrong: copy with gaps, changes of all kinds before the tail
// and under the hold, cutover.
type ordeal struct {
	*stage
	course
	trouble *trouble // of both servers and the adapter
	store   *faulty
}

func newOrdeal(t *testing.T, c course, what *trouble) *ordeal {
	o := &ordeal{stage: one(newStage(t, c.target)), course: c, trouble: what, store: &faulty{}}
	o.src.do(func() { o.src.caps, o.src.trouble = c.source, o.trouble })
	o.dst.do(func() { o.dst.trouble = o.trouble })
	o.dst.hook = func(verb, args string) (answer string, ok bool) { // as Dovecot does
		o.dst.do(func() { ok = verb == "SUBSCRIBE" && o.dst.folders[strings.Trim(args, `"`)] == nil })
		return "%t NO [NONEXISTENT] no such folder\r\n", ok
	}
	o.src.populate(c.exact)
	if c.exact {
		o.adapter = &troubled{exact{f: o.dst}, o.trouble}
	}
	o.wrap = func(s *boltstate.Store) Store {
		o.store.s = s
		return &eventful{Store: o.store, before: o.src.change, held: o.src.changeLate}
	}
	return o
}

// populate fills an account with something of everything; with a gap that is skipped if skips is set, since to fill it takes
// its time.
func (f *fake) populate(skips bool) {
	if skips {
		f.deliver("Jump", 2, longGap.To+1)
	}
	f.deliver("INBOX", 1, 2, 5, 20, 21)
	f.deliver("Work", 4, 1200)
	f.deliver("Work/Below", 1)
	f.deliver("Gone", 1, 3)
	f.deliver("Again", 2)
	f.deliver("Empty")
	f.do(func() { f.subs["Work"], f.subs["Gone"], f.subs["Missing"] = true, true, true })
}

var longGap = state.Gap{From: 3, To: 299_999}

// change is what happens between the copy and the tail.
func (f *fake) change() {
	f.deliver("INBOX", 22, 30)
	f.deliver("New/Below", 7)
	f.do(func() {
		f.mark("INBOX", 2, `$Label \Answered \Seen`)
		f.folders["INBOX"].expunge(func(m *fakeMail) bool { return m.uid == 5 || m.uid == 21 })
		f.folders["Empty"].next = 9
		delete(f.folders, "Gone")
		delete(f.subs, "Gone")
		f.subs["New/Below"] = true
		f.create("Again")
	})
	f.deliver("Again", 1, 2)
}

// changeLate is what happens under the hold, beside imapferry.
func (f *fake) changeLate() {
	f.deliver("INBOX", 33)
	f.do(func() {
		f.mark("INBOX", 30, `\Flagged`)
		f.folders["INBOX"].expunge(func(m *fakeMail) bool { return m.uid == 22 })
		f.folders["Work"].expunge(func(m *fakeMail) bool { return m.uid == 1200 })
		delete(f.subs, "Work")
	})
}

func (f *fake) mark(folder string, uid uint32, flags string) {
	for _, m := range f.folders[folder].mail {
		if m.uid == uid {
			m.flags = flags
			f.folders[folder].touch(m)
		}
	}
}

// eventful is a store that lets something happen when the tail and when the hold begin.
type eventful struct {
	Store
	before, held         func()
	onceBefore, onceHeld sync.Once
}

func (e *eventful) Advance(ctx context.Context, l state.Lease, to state.Phase, c state.Change) (state.Record, error) {
	if to == state.Tailing {
		e.onceBefore.Do(e.before)
	}
	return e.Store.Advance(ctx, l, to, c)
}

func (e *eventful) BeginCutover(ctx context.Context, l state.Lease, attempt string, budget time.Duration) (state.Lease, state.Record, error) {
	e.onceHeld.Do(e.held)
	return e.Store.BeginCutover(ctx, l, attempt, budget)
}

// troubled is an adapter whose calls are interactions.
type troubled struct {
	exact
	*trouble
}

func (a *troubled) skip(ctx context.Context, dst *client, user, folder string, from, to uint32) error {
	if a.strikes() != "" {
		return errAway
	}
	if err := a.exact.skip(ctx, dst, user, folder, from, to); err != nil {
		return err
	}
	if a.strikes() != "" {
		return errAway
	}
	return nil
}

func (a *troubled) setUIDValidity(ctx context.Context, dst *client, user string, folders []*mailbox) error {
	if a.strikes() != "" {
		return errAway
	}
	if err := a.exact.setUIDValidity(ctx, dst, user, folders); err != nil {
		return err
	}
	if a.strikes() != "" {
		return errAway
	}
	return nil
}

// endure runs the engine until the user is migrated, and does what a user and an operator do meanwhile: log in, and
// retry. It demands that the target holds what the source holds, everything once, and that the source was only read
// (I1, I4).
func (o *ordeal) endure() {
	o.t.Helper()
	o.start()
	o.await("migrated", func(r state.Record) bool {
		switch {
		case r.Phase == state.Held && o.trouble.kind == "refuse":
			if r.Reason == "" {
				o.t.Error("held without a reason")
			}
			o.retry()
		case r.Phase == state.Held:
			o.t.Fatalf("held by what has passed: %s", r.Reason)
		case strings.Contains(r.Reason, "next login"):
			o.engine.Offer("alice", "pass")
		case r.Attempts > 0:
			o.engine.Wake("alice")
		}
		return r.Phase == state.Migrated
	})
	o.settled()
	o.checkGap()
	o.stop()
	want := &fake{folders: map[string]*fakeFolder{}, subs: map[string]bool{}, next: o.src.first}
	want.create("INBOX")
	want.populate(o.exact)
	want.change()
	want.changeLate()
	if got, want := o.src.text(true), want.text(true); got != want {
		o.t.Errorf("the source was touched:\n%swant:\n%s", got, want)
	}
	if got, want := o.dst.text(o.exact), want.text(o.exact); got != want {
		o.t.Errorf("target:\n%swant:\n%s", got, want)
	}
	o.src.mu.Lock()
	defer o.src.mu.Unlock()
	for verb := range o.src.heard {
		if !slices.Contains([]string{"LOGIN", "ENABLE", "LIST", "LSUB", "STATUS", "EXAMINE", "FETCH", "UID FETCH", "CLOSE", "UNSELECT"}, verb) {
			o.t.Errorf("the source was sent %s", verb)
		}
	}
}

// checkGap demands that the relay can know of what was skipped.
func (o *ordeal) checkGap() {
	o.t.Helper()
	ctx := context.Background()
	rec, err := o.store.s.Get(ctx, "alice")
	folders, err2 := o.store.s.Folders(ctx, "alice")
	if err != nil || err2 != nil {
		o.t.Fatal(err, err2)
	}
	var gaps, want []state.Gap
	for _, f := range folders {
		gaps = append(gaps, f.Skipped...)
	}
	if o.exact {
		want = []state.Gap{longGap}
	}
	if !slices.Equal(gaps, want) || rec.Skipped != int64(len(want)) {
		o.t.Errorf("gaps %v, and %d folders with gaps; want %v", gaps, rec.Skipped, want)
	}
}

// TestEveryInteraction lets each interaction with either server fail in turn, in every way: the user is migrated all
// the same, the target is equal, and the source was only read (I1, I4, I5).
func TestEveryInteraction(t *testing.T) {
	defer func(was time.Duration) { stallTimeout = was }(stallTimeout)
	stallTimeout = time.Second // a thousand servers fall silent, and one that is slow by chance is one failure more
	for _, c := range courses {
		t.Run(c.name, func(t *testing.T) {
			calm := newOrdeal(t, c, &trouble{})
			calm.endure()
			count := int(calm.trouble.count.Load())
			for _, kind := range troubles {
				for _, n := range testbed.Sample(t, count, 4) {
					t.Run(fmt.Sprintf("%s %d", kind, n), func(t *testing.T) {
						t.Parallel()
						newOrdeal(t, c, &trouble{n: int64(n), kind: kind}).endure()
					})
				}
			}
		})
	}
}

// TestEveryStoreCall lets each call to the store fail in turn, before it takes effect and after: the user is migrated
// all the same, both sides are equal, and nothing is left behind (I1, I5, I6).
func TestEveryStoreCall(t *testing.T) {
	for _, c := range courses {
		t.Run(c.name, func(t *testing.T) {
			calm := newOrdeal(t, c, &trouble{})
			calm.endure()
			count := int(calm.store.calls.Load())
			for _, effect := range []bool{false, true} {
				for _, n := range testbed.Sample(t, count, 8) {
					t.Run(fmt.Sprintf("%d effect=%v", n, effect), func(t *testing.T) {
						t.Parallel()
						o := newOrdeal(t, c, &trouble{})
						o.store.effect = effect
						o.store.n.Store(int64(n))
						o.endure()
					})
				}
			}
		})
	}
}

// TestDovecotCut cuts the connections between the engine and a Dovecot after some number of bytes, in either
// direction: the user is migrated all the same, after a retry at most, and both sides are equal (I1, I4).
func TestDovecotCut(t *testing.T) {
	for _, side := range []string{"source", "target"} {
		for _, up := range []bool{true, false} {
			for _, kib := range testbed.Sample(t, 60, 2) {
				t.Run(fmt.Sprintf("%s up=%v %d KiB", side, up, kib), func(t *testing.T) {
					t.Parallel()
					x := newCrossing(t, "maildir", "mdbox")
					x.seed("alice", testbed.SeedSpec{Seed: uint64(kib), Plain: true, NoLarge: true})
					before := x.snapshot(x.src, "alice")
					cut := testbed.Way{CutAfter: int64(kib) << 10}
					opt := testbed.ForwardOptions{Down: cut}
					if up {
						opt = testbed.ForwardOptions{Up: cut, Reset: true}
					}
					f, err := testbed.Forward(map[string]*testbed.Dovecot{"source": x.src, "target": x.dst}[side].IMAP(), opt)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(f.Close)
					x.through = map[string]*testbed.Forwarder{side: f}
					x.start()
					x.engine.Offer("alice", "pass")
					x.await("alice", "migrated", func(r state.Record) bool {
						switch {
						case r.Phase == state.Held && strings.Contains(r.Reason, "unreadable"): // what is longer than the connections last
							f.Set(testbed.ForwardOptions{})
							if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
								t.Error(err)
							}
							x.engine.Wake("alice")
						case r.Phase == state.Held:
							t.Fatalf("held: %s", r.Reason)
						case r.Attempts > 2: // bad enough
							f.Set(testbed.ForwardOptions{})
							x.engine.Wake("alice")
						case r.Attempts > 0:
							x.engine.Wake("alice")
						}
						return r.Phase == state.Migrated
					})
					x.same("alice", testbed.DiffOptions{})
					for _, line := range testbed.Diff(before, x.snapshot(x.src, "alice"), testbed.DiffOptions{IgnoreModSeq: true}) {
						t.Errorf("the source was touched: %s", line)
					}
				})
			}
		}
	}
}

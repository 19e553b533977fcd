package migrate

import (
	"testing"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// unmounted is what a server shows whose storage is not there: an INBOX that it has just made. It returns what brings all back.
func (f *fake) unmounted() (mount func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	folders, subs := f.folders, f.subs
	f.folders, f.subs = map[string]*fakeFolder{}, map[string]bool{}
	f.create("INBOX")
	return func() { f.do(func() { f.folders, f.subs = folders, subs }) }
}

// copied brings over an account whose switch waits for an operator.
func (s *stage) copied() {
	s.t.Helper()
	s.settings.Cutover = CutoverManual
	s.src.deliver("INBOX", 1, 2)
	s.src.deliver("Work", 3)
	s.src.do(func() { s.src.subs["Work"] = true })
	s.start()
	s.waits()
}

// untouched demands that what held the user has left the target as it was.
func (s *stage) untouched(before string) {
	s.t.Helper()
	if after := s.dst.text(true); after != before {
		s.t.Errorf("the target was touched: before\n%safter\n%s", before, after)
	}
}

const allGone = "the source shows none of the folders that were copied (2, with 3 messages)"

// TestSourceEmptied: the source's storage is not mounted for a while. The user is not switched to an empty account, nor is anything
// copied twice when the storage is back (I1).
func TestSourceEmptied(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.copied()
	before := s.dst.text(true)
	mount := s.src.unmounted()
	s.retry()
	s.held(allGone, "is its storage in order?")
	s.untouched(before)
	mount()
	s.retry()
	s.waits()
	s.untouched(before)
	s.excepted()

	mount = s.src.unmounted() // once more: the first answer does not count again
	s.retry()
	s.held(allGone)
	s.untouched(before)
	mount()
	s.retry()
	s.waits()
	s.release()
	s.migrated()
}

// TestSourceEmptiedUnderHold is TestSourceEmptied just before the hold.
func TestSourceEmptiedUnderHold(t *testing.T) {
	s := one(newStage(t, batchCaps))
	var before string
	s.wrap = func(b *boltstate.Store) Store {
		return &eventful{Store: b, before: func() {}, held: func() { before = s.dst.text(true); s.src.unmounted() }}
	}
	s.src.deliver("INBOX", 1, 2)
	s.src.deliver("Work", 3)
	s.start()
	s.held(allGone)
	s.untouched(before)
}

// TestGoneForGood: an operator answers, by a retry, that a user's folders are gone on purpose. It goes on, also where a worker before
// was cut off in the middle.
func TestGoneForGood(t *testing.T) {
	for n := range int32(6) {
		s := one(newStage(t, batchCaps))
		d := s.dies(1 << 30)
		s.copied()
		s.src.unmounted()
		s.retry()
		s.held(allGone)
		d.left.Store(n)
		s.retry()
		s.failing(errStoreGone.Error())
		d.left.Store(1 << 30)
		s.release()
		s.await("migrated", func(r state.Record) bool {
			if r.Phase == state.Held && r.Owner == "" { // most is still there, so the operator is asked once more
				s.says(r, []string{"the source shows none"})
				s.retry()
			}
			return r.Phase == state.Migrated
		})
		s.migrated()
		s.excepted()
		s.stop()
	}
}

// TestGoneBeforeRetry: a user is held for something else when the source's storage goes away. The operator's retry, which meant that,
// removes nothing, neither what would be copied anew after it.
func TestGoneBeforeRetry(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1, 2)
	s.src.deliver("Work", 3)
	bad := s.src.folders["INBOX"].mail[0].body
	s.dst.refuses = func(m *fakeMail) string {
		if m.body == bad {
			return "NO [CANNOT] not this one"
		}
		return ""
	}
	s.start()
	s.held("1 exception: 1 refused")
	before := s.dst.text(true)
	mount := s.src.unmounted()
	s.retry()
	s.held(allGone)
	s.untouched(before)
	s.dst.do(func() { s.dst.refuses = nil })
	mount()
	s.retry()
	s.migrated()
}

// TestInboxMadeAnew: the only folder of a user is made anew at the source, with the mail that has come since. Nobody can tell that from
// a storage that is away, so an operator is asked; the answer lets it go on.
func TestInboxMadeAnew(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.Cutover = CutoverManual
	s.src.deliver("INBOX", 1, 2, 3)
	s.start()
	s.waits()
	s.src.do(func() { s.src.create("INBOX") })
	s.src.deliver("INBOX", 1)
	s.retry()
	s.held("the source shows none of the folders that were copied (1, with 3 messages)")
	s.retry()
	s.waits()
	s.release()
	s.migrated()
}

// TestAllExpunged: a user who deletes all mail and all folders but INBOX is not held for it, and neither is one whose folders have other
// names now.
func TestAllExpunged(t *testing.T) {
	for how, change := range map[string]func(f *fake){
		"expunged": func(f *fake) {
			delete(f.folders, "Work")
			f.folders["INBOX"].expunge(func(*fakeMail) bool { return true })
		},
		"renamed": func(f *fake) { f.rename("INBOX", "Old"); f.create("INBOX"); f.rename("Work", "Play") },
	} {
		t.Run(how, func(t *testing.T) {
			s := one(newStage(t, batchCaps))
			s.copied()
			s.src.do(func() { change(s.src) })
			s.retry()
			s.release()
			s.migrated()
		})
	}
}

package migrate

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// TestBodiesAway: the source's store of bodies was away for a while, with its index still there. Users found notes in the place of their
// mail where unreadable messages were allowed, and were held for thousands of exceptions elsewhere. It is waited for (I1, I10).
func TestBodiesAway(t *testing.T) {
	for how, answer := range withheld {
		for _, after := range []int64{0, 1, 3, 6} { // how many messages are given before
			t.Run(fmt.Sprintf("%s after %d", how, after), func(t *testing.T) {
				t.Parallel()
				s := one(newStage(t, batchCaps))
				s.settings.Allow = []string{ClassUnreadable}
				s.src.deliver("INBOX", 7)
				s.src.deliver("Several", 1, 2, 3, 4, 5)
				s.src.deliver("Single", 1)
				var left atomic.Int64
				left.Store(after)
				s.src.withholds("BODY.PEEK[]", answer, func(string, uint32) bool {
					return left.Add(-1) < 0
				})
				s.start()
				s.waitsForBodies()
			})
		}
	}
}

// waitsForBodies demands that the user is tried again while the source withholds bodies, and crosses whole when it gives them.
func (s *stage) waitsForBodies() {
	s.t.Helper()
	s.await("failing", func(r state.Record) bool {
		if r.Phase == state.Held || r.Phase == state.Migrated {
			s.t.Fatalf("%s: %s", r.Phase, r.Reason)
		}
		return r.Attempts > 2
	})
	s.src.do(func() { s.src.hook = nil })
	s.migrated()
	s.excepted()
}

// TestBodiesAwayAtProof: it was away just as bodies were compared, and good copies were told of as if they could not be.
func TestBodiesAwayAtProof(t *testing.T) {
	for how, answer := range withheld {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := one(newStage(t, batchCaps))
			s.settings.VerifyBodies = VerifyAll
			s.src.deliver("INBOX", 7)
			s.src.deliver("Several", 1, 2, 3, 4, 5)
			away := func() { s.src.withholds("BODY.PEEK[]", answer, func(string, uint32) bool { return true }) }
			s.wrap = func(b *boltstate.Store) Store { return &eventful{Store: b, before: away, held: func() {}} }
			s.start()
			s.waitsForBodies()
		})
	}
}

// TestBadWithoutWitness: a message that the source does not give is an exception wherever it stands, and whatever is near it, as long as
// the source gives others, or there are none.
func TestBadWithoutWitness(t *testing.T) {
	for name, bad := range map[string][]string{
		"the only one of all":    {"INBOX 1 unreadable"},
		"the first one":          {"INBOX 1 unreadable", "INBOX 2", "INBOX 3"},
		"the first two":          {"INBOX 1 unreadable", "INBOX 2 unreadable", "INBOX 9"},
		"two neighbours":         {"INBOX 1", "INBOX 2 unreadable", "INBOX 3 unreadable", "INBOX 4"},
		"the last two":           {"INBOX 1", "INBOX 2 unreadable", "INBOX 3 unreadable"},
		"the only one of its":    {"INBOX 1", "INBOX 2", "Work 1 unreadable"},
		"the only one, at first": {"INBOX 1 unreadable", "Work 1", "Work 2"},
		"all of a folder":        {"INBOX 1", "Work 1 unreadable", "Work 2 unreadable"},
	} {
		for how, answer := range withheld {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				s := one(newStage(t, batchCaps))
				s.settings.Allow = []string{ClassUnreadable}
				var want []string
				for _, m := range bad {
					var folder string
					var uid uint32
					if _, err := fmt.Sscan(m, &folder, &uid); err != nil {
						t.Fatal(err)
					}
					s.src.deliver(folder, uid)
					if strings.HasSuffix(m, ClassUnreadable) {
						want = append(want, m)
					}
				}
				s.src.withholds("BODY.PEEK[]", answer, func(folder string, uid uint32) bool {
					for _, m := range want {
						if m == fmt.Sprintf("%s %d %s", folder, uid, ClassUnreadable) {
							return true
						}
					}
					return false
				})
				s.start()
				s.crossed()
				s.excepted(want...)
			})
		}
	}
}

// TestExpungedWhileSingle: a message that a client expunged just as it was brought over by itself held the user, as one that the source
// cannot read: Dovecot gives NIL then. It is gone, and nothing is said of it.
func TestExpungedWhileSingle(t *testing.T) {
	for how, answer := range withheld {
		for last := int32(2); last < 7; last++ { // which time of asking for it is the last
			t.Run(fmt.Sprintf("%s at %d", how, last), func(t *testing.T) {
				t.Parallel()
				s := one(newStage(t, batchCaps))
				s.src.deliver("INBOX", 1, 2, 3)
				var asked atomic.Int32
				s.src.withholds("BODY.PEEK[]", answer, func(_ string, uid uint32) bool {
					return uid == 2 && (asked.Add(1) == 1 || asked.Load() == last)
				})
				s.src.do(func() {
					withheld := s.src.hook
					s.src.hook = func(verb, args string) (string, bool) {
						said, ok := withheld(verb, args)
						if asked.Load() == last {
							s.src.do(func() { s.src.folders["INBOX"].expunge(func(m *fakeMail) bool { return m.uid == 2 }) })
						}
						return said, ok
					}
				})
				s.start()
				s.migrated()
				s.excepted()
			})
		}
	}
}

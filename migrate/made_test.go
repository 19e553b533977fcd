package migrate

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"imapferry/state"
)

// cutOffAnywhere lets a worker die at every write to the store, and the source change before the next worker begins. Whatever it
// was that the first one had made, both sides are equal in the end.
func cutOffAnywhere(t *testing.T, prepare func(s *stage), change func(s *stage)) {
	t.Helper()
	for n := int32(0); ; n++ {
		s := one(newStage(t, batchCaps))
		d := s.dies(1 << 30)
		prepare(s)
		s.stop()
		d.left.Store(n)
		s.start()
		rec := s.await("cut off or migrated", func(r state.Record) bool {
			return r.Phase == state.Migrated || strings.Contains(r.Reason, errStoreGone.Error())
		})
		s.stop()
		if rec.Phase == state.Migrated {
			if n < 3 {
				t.Errorf("cut off %d times only", n)
			}
			return
		}
		s.src.do(func() { change(s) })
		d.left.Store(1 << 30)
		s.start()
		s.crossed()
		s.stop()
		if src, dst := strings.Join(s.src.names(), " "), strings.Join(s.dst.names(), " "); src != dst {
			t.Errorf("cut off at write %d: the source has %s, the target %s", n, src, dst)
		}
	}
}

// names returns the names of all folders.
func (f *fake) names() (names []string) {
	f.do(func() {
		for n := range f.folders {
			names = append(names, n)
		}
	})
	slices.Sort(names)
	return names
}

// TestMadeCutOff: the worker dies while it makes a folder, and the folder is gone at the source when the next one begins. It
// does not stay behind in the target: clients would see it after the switch (I2).
func TestMadeCutOff(t *testing.T) {
	cutOffAnywhere(t,
		func(s *stage) { s.src.deliver("Work", 1, 2) },
		func(s *stage) { delete(s.src.folders, "Work") })
}

// TestMadeAnewCutOff is TestMadeCutOff for a folder that is copied anew, because it is another one at the source.
func TestMadeAnewCutOff(t *testing.T) {
	cutOffAnywhere(t,
		func(s *stage) {
			s.src.deliver("Work", 1, 2)
			mend := s.src.stuck("Zed")
			s.start()
			s.failing("not now")
			mend()
			s.src.do(func() { s.src.create("Work") })
		},
		func(s *stage) { delete(s.src.folders, "Work") })
}

// TestMadeEscapedCutOff is TestMadeCutOff for a folder that the target has under an escaped name.
func TestMadeEscapedCutOff(t *testing.T) {
	cutOffAnywhere(t,
		func(s *stage) {
			s.settings.Allow = []string{ClassNames}
			s.src.deliver("~x", 1, 2)
			s.dst.hook = func(verb, args string) (string, bool) {
				return "%t NO [CANNOT] no such names\r\n", verb == "CREATE" && strings.Contains(args, "~")
			}
		},
		func(s *stage) { delete(s.src.folders, "~x") })
}

// TestMadeForSubscription: a target that keeps subscriptions of missing folders only when they are deleted cannot delete one
// just now. It goes with the next try.
func TestMadeForSubscription(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.do(func() { s.src.subs["Gone"] = true })
	var once sync.Once
	s.dst.hook = func(verb, args string) (answer string, ok bool) {
		if verb == "SUBSCRIBE" && !slices.Contains(s.dst.names(), "Gone") {
			return "%t NO no such folder\r\n", true
		}
		if verb == "DELETE" {
			once.Do(func() { answer, ok = "%t NO [NOPERM] not now\r\n", true })
		}
		return answer, ok
	}
	s.start()
	s.migrated()
}

// TestRenamedOnCutOff: the worker dies while it follows a renaming, and the folder is renamed once more, or deleted, when the next
// one begins.
func TestRenamedOnCutOff(t *testing.T) {
	for name, change := range map[string]func(s *stage){
		"renamed": func(s *stage) { s.src.rename("Play", "Rest") },
		"back":    func(s *stage) { s.src.rename("Play", "Work") },
		"deleted": func(s *stage) { delete(s.src.folders, "Play"); delete(s.src.folders, "Play/Sub") },
	} {
		t.Run(name, func(t *testing.T) {
			cutOffAnywhere(t, func(s *stage) {
				s.src.deliver("INBOX", 1)
				s.src.deliver("Work", 1, 2, 3)
				s.src.deliver("Work/Sub", 1, 4)
				mend := s.src.stuck("Zed")
				s.start()
				s.failing("not now")
				mend()
				s.src.do(func() { s.src.rename("Work", "Play") })
			}, change)
		})
	}
}

// TestDiscardedCutOff: the worker dies after it has moved its own INBOX away, to copy it anew, and before it has deleted it. What was
// moved away goes, and is no mail of unknown origin.
func TestDiscardedCutOff(t *testing.T) {
	for _, copied := range []bool{false, true} {
		s := one(newStage(t, batchCaps))
		s.src.deliver("INBOX", 1, 2)
		if copied {
			s.halfway()
			s.src.do(func() { s.src.create("INBOX") })
		} else { // empty, and of no use as it is
			s.dst.do(func() { s.dst.folders["INBOX"].next = 2 })
		}
		var once sync.Once
		s.dst.hook = func(verb, args string) (answer string, ok bool) {
			if verb == "DELETE" && strings.Contains(args, discardedInbox) {
				once.Do(func() { answer, ok = "* BYE [UNAVAILABLE] going down\r\n", true })
			}
			return answer, ok
		}
		s.start()
		s.migrated()
		if !strings.Contains(s.log.String(), "going down") {
			t.Error("no INBOX was moved away")
		}
	}
}

// TestSubscriptionOfOtherSpelling: a target that folds case refuses to make a folder for a subscription alone, since it has one of
// the same name in another spelling. That one is not deleted (I4).
func TestSubscriptionOfOtherSpelling(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.Allow = []string{ClassSubscription}
	s.src.deliver("gone")
	s.src.do(func() { s.src.subs["Gone"] = true })
	s.dst.hook = func(verb, args string) (string, bool) {
		switch folded := strings.HasPrefix(args, `"Gone"`); {
		case folded && verb == "CREATE":
			return "%t NO there is one\r\n", true
		case folded && verb == "SUBSCRIBE":
			return "%t NO no such folder\r\n", true
		case folded && verb == "DELETE":
			s.dst.do(func() { delete(s.dst.folders, "gone") })
			return "%t OK gone\r\n", true
		case folded && verb == "STATUS":
			return "* STATUS \"Gone\" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 9)\r\n%t OK done\r\n", true
		}
		return "", false
	}
	s.start()
	s.crossed()
	if names := s.dst.names(); !slices.Contains(names, "gone") {
		t.Errorf("the target has %q", names)
	}
}

// TestRenamedOddly: a target gives a renamed folder another UIDVALIDITY, or says no to what it does. The folder stays the engine's.
func TestRenamedOddly(t *testing.T) {
	for how, answer := range map[string]string{"another UIDVALIDITY": "%t OK done\r\n", "refused": "%t NO out of cheese\r\n"} {
		t.Run(how, func(t *testing.T) {
			s := one(newStage(t, batchCaps))
			s.src.deliver("Work", 1, 2, 3)
			s.src.deliver("Work/Sub", 1, 4)
			s.halfway()
			s.src.do(func() { s.src.rename("Work", "Play") })
			s.dst.hook = func(verb, _ string) (string, bool) {
				if verb != "RENAME" {
					return "", false
				}
				s.dst.do(func() {
					s.dst.rename("Work", "Play")
					if how != "refused" {
						s.dst.folders["Play"].validity, s.dst.folders["Play/Sub"].validity = 77, 78
					}
				})
				return answer, true
			}
			s.start()
			s.migrated()
			if !strings.Contains(s.log.String(), "renamed in the source") {
				t.Error("nothing was renamed in the target")
			}
		})
	}
}

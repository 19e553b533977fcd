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

// refusesOn lets the fake answer one command on one folder by what is given, until mend is called.
func (f *fake) refusesOn(verb, folder, answer string) (mend func()) {
	f.do(func() {
		f.hook = func(v, args string) (string, bool) {
			return answer, v == verb && strings.HasPrefix(args, `"`+folder+`"`)
		}
	})
	return func() { f.do(func() { f.hook = nil }) }
}

// TestFolderOpensAgain: a folder that was proven equal and that the source does not open for a while holds nobody any more when it
// opens again, even if nothing has changed in it.
func TestFolderOpensAgain(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.caps = "CONDSTORE ENABLE QRESYNC"
	s.src.deliver("INBOX", 1)
	s.src.deliver("Bad", 1, 2)
	s.halfway()
	mend := s.src.refusesOn("STATUS", "Bad", "%t NO [CANNOT] not this one\r\n")
	s.start()
	s.held("1 exception: 1 folder")
	mend()
	s.retry()
	s.migrated()
	s.excepted()
}

// TestBodiesOfStuckFolder: bodies of a folder that stays behind are not asked for.
func TestBodiesOfStuckFolder(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.VerifyBodies = VerifyAll
	s.src.deliver("INBOX", 1)
	s.src.deliver("Bad", 1, 2)
	s.halfway()
	s.src.refusesOn("EXAMINE", "Bad", "%t NO [CANNOT] not this one\r\n")
	s.settings.Allow = []string{ClassFolder}
	s.start()
	s.crossed()
	s.excepted("Bad 0 folder")
}

// TestRenamedToStuck: a folder whose new name the source does not open stays behind, and holds nobody who allows that.
func TestRenamedToStuck(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.src.deliver("Work", 1, 2)
	s.halfway()
	s.src.do(func() { s.src.rename("Work", "Bad") })
	s.src.refusesOn("EXAMINE", "Bad", "%t NO [CANNOT] not this one\r\n")
	s.settings.Allow = []string{ClassFolder}
	s.start()
	s.crossed()
	s.excepted("Bad 0 folder")
}

// TestBareLinesCutOff: the worker dies at every write around a copy of messages whose lines end by a bare LF, which the target
// counts as CRLF. The next one knows them for its own (I4).
func TestBareLinesCutOff(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps} {
		for n := range int32(6) {
			s := one(newStage(t, caps))
			d := s.dies(n)
			s.src.deliver("INBOX", 1)
			s.src.deliver("Work", 1, 2, 5)
			s.src.do(func() { s.src.folders["Work"].mail[1].body = "Subject: bare\n\none\ntwo\n" })
			s.start()
			s.await("cut off", func(r state.Record) bool { return strings.Contains(r.Reason, errStoreGone.Error()) })
			s.stop()
			d.left.Store(1 << 30)
			s.start()
			s.migrated()
			s.stop()
		}
	}
}

// TestRenamedEscaped: below a renamed folder is one that the target has under an escaped name.
func TestRenamedEscaped(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.Allow = []string{ClassNames}
	s.src.deliver("INBOX", 1)
	s.src.deliver("Work", 1, 2)
	s.src.deliver("Work/~x", 3)
	s.dst.do(func() {
		s.dst.hook = func(verb, args string) (string, bool) {
			return "%t NO [CANNOT] no such names\r\n", (verb == "CREATE" || verb == "RENAME") && strings.Contains(args, "~")
		}
	})
	s.halfway()
	s.src.do(func() { s.src.rename("Work", "Play") })
	s.start()
	s.crossed()
	s.stop()
	s.src.do(func() { s.src.rename("Play/~x", "Play/=7Ex") })
	if src, dst := s.src.text(false), s.dst.text(false); src != dst {
		t.Errorf("source:\n%starget:\n%s", src, dst)
	}
}

// TestFirstUnderHold: what is allowed and happens for the first time under the hold calls the cutover off and holds nobody (I5).
func TestFirstUnderHold(t *testing.T) {
	for class, prepare := range map[string]func(s *stage){
		ClassUnreadable: func(s *stage) {
			s.src.deliver("INBOX", 2)
			s.src.do(func() { s.src.mangle = nilBody(2) })
		},
		ClassFolder: func(s *stage) { s.src.refusesOn("EXAMINE", "Bad", "%t NO [CANNOT] not this one\r\n") },
	} {
		t.Run(class, func(t *testing.T) {
			s := one(newStage(t, batchCaps))
			s.settings.Allow = []string{class}
			s.src.deliver("INBOX", 1)
			s.src.deliver("Bad", 1)
			s.wrap = func(b *boltstate.Store) Store {
				return &eventful{Store: b, before: func() {}, held: func() { prepare(s) }}
			}
			s.start()
			s.crossed()
		})
	}
}

// nilBody gives NIL for the body of one message.
func nilBody(uid uint32) func(verb, answer string) string {
	this := fmt.Sprintf("UID %d ", uid)
	return func(verb, answer string) string {
		lines := strings.SplitAfter(answer, "\r\n")
		for i, l := range lines {
			if strings.Contains(l, "BODY[] {") && strings.Contains(l, this) {
				head, _, _ := strings.Cut(l, "{")
				rest := strings.Join(lines[i+1:], "")
				_, rest, _ = strings.Cut(rest, ")\r\n")
				return strings.Join(lines[:i], "") + head + "NIL)\r\n" + rest
			}
		}
		return answer
	}
}

// TestUnreadableAtProof: a message that the source gave once, and cannot give again to be compared.
func TestUnreadableAtProof(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.VerifyBodies = VerifyAll
	s.src.deliver("INBOX", 1, 2, 3)
	s.wrap = func(b *boltstate.Store) Store {
		return &eventful{Store: b, before: func() { s.src.do(func() { s.src.mangle = nilBody(2) }) }, held: func() {}}
	}
	s.start()
	s.held("1 exception: 1 body")
	s.excepted("INBOX 2 body")
	s.allow(ClassBody)
	s.crossed()
}

// TestLeftOutExcepted: exceptions in a folder that is left out by now hold nobody.
func TestLeftOutExcepted(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.src.deliver("Work", 1, 2)
	s.src.do(func() { s.src.folders["Work"].mail[0].flags = "$Odd" })
	s.dst.do(func() { s.dst.keeps = func(flag string) bool { return flag != "$Odd" } })
	s.start()
	s.held("1 exception: 1 flags")
	s.stop()
	s.settings.Exclude = []string{"Work"}
	if _, err := s.store.Retry(s.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.crossed()
}

// TestParkOtherNames: mail is moved aside, and back, from a folder of the target whose name stands for none of the source (I1).
func TestParkOtherNames(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	bed := testbed.ForTest(t)
	src, err := bed.Courier(testbed.CourierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dst, err := bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Doveadm: true})
	if err != nil {
		t.Fatal(err)
	}
	x := &crossing{t: t, ctx: ctx, dst: dst, settings: patient()}
	x.settings.Allow = []string{ClassNames}
	if _, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", testbed.BulkSpec{Seed: 4, Messages: 10, Folders: 2}); err != nil {
		t.Fatal(err)
	}
	before := map[string][]string{}
	for _, folder := range []string{"INBOX", "a.b", "=49nbox"} {
		if folder != "INBOX" {
			x.run(dst, "alice", "CREATE "+folder)
		}
		x.deliver(dst, "alice", folder, "too early")
		before[folder] = x.bodiesIn(dst, folder)
	}
	x.startFrom(src.IMAP())
	x.park()
	x.await("alice", "done with stragglers", func(r state.Record) bool { return !r.LastPass.IsZero() && r.Owner == "" })
	for folder, was := range before {
		if got := x.bodiesIn(dst, parkPrefix+folder); got != nil {
			t.Errorf("%s: %d messages are still aside", folder, len(got))
		}
		now := x.bodiesIn(dst, folder)
		if !slices.Contains(now, was[0]) {
			t.Errorf("%s: mail that was moved aside is not back", folder)
		}
	}
}

// TestExceptedUnderHold: messages with exceptions change while sessions are held. The exceptions follow, at a source that tells
// what has changed and one that has to be listed (I10).
func TestExceptedUnderHold(t *testing.T) {
	for _, caps := range []string{"", "CONDSTORE", "CONDSTORE ENABLE QRESYNC"} {
		t.Run(caps, func(t *testing.T) {
			s := one(newStage(t, batchCaps))
			s.src.caps = caps
			s.settings.Allow, s.settings.VerifyBodies = []string{ClassRefused, ClassDate, ClassFlags}, VerifyAll
			s.src.deliver("INBOX", 1, 2, 3, 4, 5, 6)
			s.src.do(func() {
				box := s.src.folders["INBOX"].mail
				box[1].body, box[2].body = "Subject: a\r\n\r\n\x00", "Subject: b\r\n\r\n\x00"
				box[3].date, box[4].flags, box[5].flags = "yesterday", "$Odd", "$Odd"
			})
			s.dst.do(func() {
				s.dst.keeps = func(flag string) bool { return flag != "$Odd" }
				s.dst.refuses = func(m *fakeMail) string {
					if strings.Contains(m.body, "\x00") {
						return "NO no"
					}
					return ""
				}
			})
			change := func() {
				s.src.deliver("INBOX", 9)
				s.src.do(func() {
					box := s.src.folders["INBOX"]
					box.mail[1].flags, box.mail[5].flags, box.mail[6].flags = `\Flagged`, `\Draft`, `$Odd \Seen`
					for _, i := range []int{1, 5, 6} {
						box.touch(box.mail[i])
					}
					box.expunge(func(m *fakeMail) bool { return m.uid == 3 || m.uid == 4 })
				})
			}
			s.wrap = func(b *boltstate.Store) Store { return &eventful{Store: b, before: func() {}, held: change} }
			s.start()
			s.crossed()
			s.excepted("INBOX 2 refused", "INBOX 5 flags", "INBOX 9 flags")
			s.stop()
			var got []string
			for _, m := range s.dst.folders["INBOX"].mail {
				got = append(got, fmt.Sprint(m.uid, m.flags))
			}
			if want := []string{`1\Seen`, `2\Flagged`, "5", `6\Draft`, `9\Seen`}; !slices.Equal(got, want) {
				t.Errorf("the target has %q", got)
			}
			if n := strings.Count(s.log.String(), "called off"); n > 0 {
				t.Errorf("%d cutovers were called off", n)
			}
		})
	}
}

// TestFlagsKeptLater: the operator lets the target keep what it did not keep. A retry finds that out, even if nothing has changed in
// the source meanwhile.
func TestFlagsKeptLater(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.caps = "CONDSTORE ENABLE QRESYNC"
	s.src.deliver("INBOX", 1, 2)
	s.src.do(func() { s.src.folders["INBOX"].mail[0].flags = "$Odd" })
	s.dst.do(func() { s.dst.keeps = func(flag string) bool { return flag != "$Odd" } })
	s.start()
	s.held("1 exception: 1 flags")
	s.dst.do(func() { s.dst.keeps = nil })
	s.retry()
	s.migrated()
	s.excepted()
}

// TestRecreatedBeforeProof: the user deletes a folder and makes it again just when its bodies are to be compared. The new
// mail, which has the UIDs of the old, is not taken for what the target has spoilt: nobody is held, and it is copied.
func TestRecreatedBeforeProof(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.settings.VerifyBodies = VerifyAll
	s.src.caps = "CONDSTORE ENABLE QRESYNC"
	s.src.deliver("INBOX", 1)
	s.src.deliver("Work", 1, 2)
	var again sync.Once
	s.src.hook = func(verb, args string) (string, bool) {
		if verb != "EXAMINE" || !strings.HasPrefix(args, `"Work"`) || s.phase() != state.Tailing {
			return "", false
		}
		again.Do(func() {
			s.src.do(func() {
				delete(s.src.folders, "Work")
				s.src.create("Work")
			})
			s.src.deliver("Work", 1, 2)
			s.src.do(func() { s.src.folders["Work"].mail[0].body = "Subject: other\r\n\r\nother\r\n" })
		})
		return "", false
	}
	s.start()
	s.migrated()
	s.excepted()
	if src, dst := s.src.text(false), s.dst.text(false); src != dst {
		t.Errorf("source:\n%starget:\n%s", src, dst)
	}
}

// TestDeletedWhenOpened: the user deletes a folder at the very moment when the worker opens it, and the source says no more
// than NO. It is left out as any folder that is gone, and holds nobody.
func TestDeletedWhenOpened(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.src.deliver("Work", 1, 2)
	s.src.hook = func(verb, args string) (string, bool) {
		if verb != "EXAMINE" || !strings.HasPrefix(args, `"Work"`) || s.phase() != state.Tailing {
			return "", false
		}
		s.src.do(func() { delete(s.src.folders, "Work") })
		return "%t NO Mailbox was deleted under us\r\n", true
	}
	s.start()
	s.migrated()
	s.excepted()
}

// phase returns alice's phase.
func (s *stage) phase() state.Phase {
	rec, err := s.store.Get(s.ctx, "alice")
	if err != nil {
		s.t.Error(err)
	}
	return rec.Phase
}

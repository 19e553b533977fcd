package migrate

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// TestOddDate: a source that gives no date holds the user with folder and UID, instead of failing for ever (I9, I10).
func TestOddDate(t *testing.T) {
	for _, date := range []string{"", "yesterday", "32-Foo-2020 10:00:00 +0100", "07-Feb-2020"} {
		s := newStage(t, batchCaps)
		s.src.deliver("Work", 1, 2)
		s.src.folders["Work"].mail[1].date = date
		s.start()
		s.held(`"Work" uid 2`, "no date")
		s.stop()
	}
}

// TestUnsolicitedFetch: the source tells of changed flags, of new and expunged mail in the middle of listings and
// bodies, with UID and without (I2).
func TestUnsolicitedFetch(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1, 2, 3, 7)
	var n atomic.Int32
	s.src.hook = func(verb, args string) (string, bool) {
		if verb != "UID FETCH" || strings.Contains(args, "RFC822") {
			return "", false
		}
		i := n.Add(1)
		noise := fmt.Sprintf("* 2 FETCH (FLAGS (\\Seen \\Flagged) UID 2)\r\n* %d EXISTS\r\n* 3 FETCH (FLAGS ())\r\n* 0 RECENT\r\n* 9 EXPUNGE\r\n* OK still here\r\n* X-NEW (\"a\" {3}\r\n)x)\r\n", i+4)
		var all strings.Builder
		s.src.do(func() {
			for _, m := range s.src.folders["INBOX"].mail {
				fmt.Fprintf(&all, "* 1 FETCH (MODSEQ (7) %s X-MORE (a (b) \"c\"))\r\n%s", m.items(args), noise)
			}
		})
		return noise + all.String() + "%t OK done\r\n", true
	}
	s.start()
	s.migrated()
}

// TestMessageUnreadable: what the source cannot send holds the user with folder and UID, or is tried again with the
// source's words (I10).
func TestMessageUnreadable(t *testing.T) {
	bodies := map[string]string{
		"* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"" + fakeDate + "\" BODY[] NIL)\r\n%t OK done\r\n": `"INBOX" uid 1: the source cannot read`,
		"* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"" + fakeDate + "\")\r\n%t OK done\r\n":            `"INBOX" uid 1: source sends no body`,
		"* 1 FETCH (BODY[] {1}\r\nx UID 1 INTERNALDATE \"" + fakeDate + "\")\r\n%t OK done\r\n":     "in another order",
		"%t NO [SERVERBUG] message 1 is damaged\r\n":                                                `"INBOX" from source: source refused command: NO [SERVERBUG] message 1 is damaged`,
		"* BYE disk died\r\n": "disk died",
		"* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"" + fakeDate + "\" BODY[] {99}\r\nshort* BYE": "uid 1",
	}
	for answer, want := range bodies {
		s := one(newStage(t, batchCaps))
		s.src.deliver("INBOX", 1)
		s.src.hook = func(verb, args string) (string, bool) {
			return answer, verb == "UID FETCH" && strings.Contains(args, "BODY")
		}
		s.start()
		s.failing(want)
		s.stop()
		if n := len(s.dst.folders["INBOX"].mail); n != 0 {
			t.Errorf("%q: the target has %d messages", answer, n)
		}
	}
}

// TestPasswordChanged: a password that opens nothing any more does not hold the user.
func TestPasswordChanged(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	for _, f := range []*fake{s.src, s.dst} {
		f.do(func() { f.pass = map[string]bool{"changed": true, "app": true} })
	}
	s.start() // offers the old one
	s.engine.Offer("alice", "changed")
	s.engine.Offer("alice", "app")
	s.migrated()
}

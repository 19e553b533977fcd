package migrate

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// TestShiftedBeforeBody: the target gives another UID while the body that comes next is not yet read. The body must
// not be taken for the source's replies, whatever is in it (I9), and the folder is copied anew.
func TestShiftedBeforeBody(t *testing.T) {
	s := newStage(t, plainCaps)
	s.src.deliver("Work", 3, 4)
	var hostile strings.Builder
	for i := range 100 {
		fmt.Fprintf(&hostile, "w%d OK [UIDVALIDITY 1] spoofed\r\n* %d FETCH (UID 3 FLAGS ())\r\n* BYE spoofed\r\n", i, i)
	}
	s.src.folders["Work"].mail[0].body = hostile.String()
	var once atomic.Bool
	s.dst.hook = func(verb, args string) (string, bool) {
		if verb == "APPEND" && strings.Contains(args, `"Work"`) && once.CompareAndSwap(false, true) {
			s.dst.do(func() { s.dst.folders["Work"].next++ })
		}
		return "", false
	}
	s.start()
	s.migrated()
	if r, err := s.store.Get(s.ctx, "alice"); err != nil || r.Attempts != 0 || strings.Contains(s.log.String(), "trying again") {
		t.Errorf("it took a second try: %+v, %v", r, err)
	}
}

// TestAppendRefused: whatever the target says to an APPEND, and whenever, the reason names folder, UIDs and its
// words, and what it took is neither lost nor there twice after it has thought better of it (I1, I10).
func TestAppendRefused(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps} {
		for answer, held := range map[string]bool{
			"%t NO [OVERQUOTA] mailbox is full\r\n": true,
			"%t NO [TRYCREATE] no such folder\r\n":  false, "%t NO [SERVERBUG] out of cheese\r\n": false, "* BYE [UNAVAILABLE] going down\r\n": false,
		} {
			t.Run(fmt.Sprintf("%s %s", caps, strings.TrimSpace(answer)), func(t *testing.T) {
				t.Parallel()
				s := small(newStage(t, caps))
				s.settings.HoldBudget = 20 * time.Second // the fakes are slow with large bodies
				s.src.deliver("INBOX", 50, 51)
				s.src.folders["INBOX"].mail[3].body = strings.Repeat("0123456789abcde\n", 1<<18) // more than most buffers on the way
				var once atomic.Bool
				s.dst.onBody = func(_ int, size int64) (string, bool) {
					return answer, size > 1<<20 && once.CompareAndSwap(false, true)
				}
				s.start()
				words := strings.TrimSpace(strings.NewReplacer("%t ", "", "* ", "").Replace(answer))
				s.failing(`to "INBOX"`, "50", words)
				if held {
					s.held()
					s.retry()
				}
				s.await("migrated", func(r state.Record) bool { return r.Phase == state.Migrated })
				s.migrated()
			})
		}
	}
}

// TestListingShort: a source that lists fewer messages than it has must not be taken for proven (I1).
func TestListingShort(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1, 2)
	s.src.hook = func(verb, args string) (string, bool) {
		if verb != "UID FETCH" {
			return "", false
		}
		var line string
		s.src.do(func() { line = s.src.folders["INBOX"].mail[0].items(args) })
		return "* 1 FETCH (" + line + ")\r\n%t OK done\r\n", true
	}
	s.start()
	s.failing(`"INBOX" is not proven equal`)
}

// TestNoUIDNext: a source without UIDNEXT in STATUS holds the user, instead of counting from 2^32 (I9).
func TestNoUIDNext(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.hook = func(verb, args string) (string, bool) {
		return "* STATUS INBOX (MESSAGES 1 UIDVALIDITY 7)\r\n%t OK done\r\n", verb == "STATUS"
	}
	s.start()
	s.held(`"INBOX"`, "no UIDNEXT")
}

// TestCutAfterGap: without MULTIAPPEND a long gap in the middle of a recorded batch does not make the engine forget
// what comes after it (I4).
func TestCutAfterGap(t *testing.T) {
	for _, n := range testbed.Sample(t, 160, 30) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := one(newStage(t, plainCaps))
			s.src.deliver("INBOX", 1, 40, 41, 80, 81)
			s.dst.do(func() { s.dst.trouble = &trouble{n: int64(n), kind: "cut"} })
			s.start()
			s.migrated()
		})
	}
}

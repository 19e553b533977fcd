package migrate

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

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

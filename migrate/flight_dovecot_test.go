package migrate

import (
	"slices"
	"strings"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// TestSinglyIntoDovecot: a Dovecot that offers no MULTIAPPEND refuses a message in the middle of each folder. Gaps are filled, each message is
// at its own UID, and a note where one was refused.
func TestSinglyIntoDovecot(t *testing.T) {
	for format, plain := range map[string]bool{"mdbox": true, "maildir": false} { // which cannot make a new INBOX
		t.Run(format, func(t *testing.T) {
			x := newCrossing(t, "maildir", format, func(x *crossing) {
				x.plain = plain
				x.dstConfig = noMultiAppend + "mail_plugins = quota\nplugin {\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_max_mail_size = 100k\n}\n"
			})
			x.bulkWithLarge("INBOX", "Bulk 01")
			x.settings.Allow = []string{ClassTooBig}
			x.settings.VerifyBodies = VerifyAll
			x.start()
			x.engine.Offer("alice", "pass")
			x.awaitPhase("alice", state.Migrated)
			if c, err := testbed.Login(x.ctx, x.dst.IMAP(), "alice", "pass"); err != nil || c.Has("MULTIAPPEND") || !c.Has("LITERAL+") {
				t.Errorf("the target is not the one that is meant: %v", err)
			}
			if got, want := x.excepted(), []string{"Bulk 01 301 too-big", "INBOX 301 too-big"}; !slices.Equal(got, want) {
				t.Errorf("exceptions %q, want %q", got, want)
			}
			src, dst := x.snapshot(x.src, "alice"), x.snapshot(x.dst, "alice")
			for name, f := range src.Folders {
				if len(dst.Folders[name].Messages) != len(f.Messages) {
					t.Errorf("%s has %d messages, want %d", name, len(dst.Folders[name].Messages), len(f.Messages))
				}
				for uid, m := range f.Messages {
					if n, ok := dst.Folders[name].Messages[uid]; !ok || uid != 301 && n != m {
						t.Errorf("%s uid %d: %+v became %+v", name, uid, m, n)
					}
				}
			}
		})
	}
}

// bulkWithLarge fills folders with 300 messages, a large one and a few more, and makes gaps, one of them long.
func (x *crossing) bulkWithLarge(folders ...string) {
	x.t.Helper()
	if _, err := testbed.Bulk(x.ctx, x.src.IMAP(), "alice", "pass", testbed.BulkSpec{Messages: 300 * len(folders), Folders: len(folders), MedianSize: 1 << 10}); err != nil {
		x.t.Fatal(err)
	}
	for _, f := range folders {
		x.fill(f, "Subject: large\r\nMessage-ID: <large@x>\r\n\r\n"+strings.Repeat("0123456789abcd\r\n", 8<<10))
		for range 4 {
			x.fill(f, "Subject: small\r\n\r\nsmall\r\n")
		}
		x.run(x.src, "alice", `SELECT "`+f+`"`, `STORE 40:180,200,210:215,303 +FLAGS (\Deleted)`, "EXPUNGE")
	}
}

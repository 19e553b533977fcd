package migrate

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// TestTorture moves the odd account from every kind of server into Dovecot. Every difference that remains is a recorded
// exception, and nothing else (I1, I2, I10).
func TestTorture(t *testing.T) {
	type source interface{ IMAP() string }
	tests := []struct {
		name              string
		start             func(*testbed.Bed) (source, error)
		separator, prefix string // of the target
	}{
		{"maildir", func(b *testbed.Bed) (source, error) { return b.Dovecot(testbed.DovecotOptions{}) }, "/", ""},
		{"mdbox", func(b *testbed.Bed) (source, error) { return b.Dovecot(testbed.DovecotOptions{Format: "mdbox"}) }, "/", ""},
		{"cyrus", func(b *testbed.Bed) (source, error) { return b.Cyrus(testbed.CyrusOptions{}) }, ".", "INBOX."},
		{"courier", func(b *testbed.Bed) (source, error) { return b.Courier(testbed.CourierOptions{}) }, ".", "INBOX."},
	}
	spec, patience, hold := testbed.TortureSpec{Seed: 3, Large: 3 << 20}, 3*time.Minute, 20*time.Second
	if _, soak := testbed.Soak(t); soak {
		spec.Folders, spec.Large, patience, hold = 2000, 30<<20, 20*time.Minute, time.Minute
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			bed := testbed.ForTest(t)
			src, err := test.start(bed)
			if err != nil {
				t.Fatal(err)
			}
			dst, err := bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Doveadm: true, Separator: test.separator, Prefix: test.prefix})
			if err != nil {
				t.Fatal(err)
			}
			spec := spec
			spec.Backdoor, _ = src.(testbed.Backdoor)
			if _, err := testbed.Torture(ctx, src.IMAP(), "alice", "pass", spec); err != nil {
				t.Fatal(err)
			}
			x := &crossing{t: t, ctx: ctx, dst: dst, settings: patient()}
			x.settings.Allow, x.settings.VerifyBodies, x.settings.HoldBudget = allowClasses, VerifyAll, hold
			x.startFrom(src.IMAP())
			x.awaitPhase("alice", state.Migrated)
			x.excused(src.IMAP(), test.prefix+testbed.UnsteadyFolder)
			lines, _ := x.verify(VerifyOptions{Bodies: VerifyAll})
			for _, line := range lines {
				if !strings.HasPrefix(line, "note: ") && !strings.Contains(line, testbed.UnsteadyFolder) {
					t.Errorf("verify: %s", line)
				}
			}
		})
	}
}

// excused demands that every difference between source and target is a recorded exception, but in the folder unsteady.
func (x *crossing) excused(source, unsteady string) {
	x.t.Helper()
	list, err := x.store.Exceptions(x.ctx, "alice", "", state.MaxExceptions)
	if err != nil {
		x.t.Fatal(err)
	}
	type place struct {
		folder string
		uid    uint32
	}
	known := map[place]string{}
	for _, e := range list {
		known[place{e.Folder, e.UID}] += " " + e.Class
		x.t.Logf("exception %q %d %s: %s", e.Folder, e.UID, e.Class, e.Text)
	}
	var both [2]*testbed.Account
	for i, addr := range []string{source, x.dst.IMAP()} {
		if both[i], err = testbed.Snapshot(x.ctx, addr, "alice", "pass"); err != nil {
			x.t.Fatal(err)
		}
	}
	x.renameSource(both[0])
	opt := testbed.DiffOptions{UIDNextNotLower: true, IgnoreModSeq: true, IgnoreFolder: func(n string) bool { return n == unsteady }}
	for _, line := range testbed.Diff(both[0], both[1], opt) {
		folder, what, _ := strings.Cut(line, ": ")
		if what == "only in the second, with 0 messages" {
			continue // servers make folders by themselves
		}
		where := place{folder: folder}
		if at := strings.LastIndex(folder, " uid "); at >= 0 {
			if uid, err := strconv.ParseUint(folder[at+5:], 10, 32); err == nil {
				where = place{folder[:at], uint32(uid)}
			}
		}
		if !explains(known[where], what) {
			x.t.Errorf("source != target: %s", line)
		}
	}
}

// explains reports whether one of classes explains a line of a Diff.
func explains(classes, what string) bool {
	for words, class := range map[string]string{
		"flags": ClassFlags, "INTERNALDATE": ClassDate, "only in the first": ClassFolder, "subscribed only in the first": ClassSubscription,
	} {
		if strings.HasPrefix(what, words) && strings.Contains(classes, class) {
			return true
		}
	}
	for _, class := range append([]string{ClassBody}, replaced...) {
		if strings.Contains(classes, class) && (strings.HasPrefix(what, "BODY") || strings.HasPrefix(what, "RFC822.SIZE")) {
			return true
		}
	}
	return false
}

package migrate

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// held waits until the user is held and demands that the reason contains want.
func (x *crossing) held(user, want string) {
	x.t.Helper()
	rec := x.awaitPhase(user, state.Held)
	if !strings.Contains(rec.Reason, want) {
		x.t.Errorf("reason %q does not say %q", rec.Reason, want)
	}
}

// deliver puts a mail of somebody else into a server.
func (x *crossing) deliver(d *testbed.Dovecot, user, folder, text string) {
	x.t.Helper()
	mail := testbed.Mail{Body: "Subject: " + text + "\r\n\r\nbody\r\n"}
	if _, err := testbed.Append(x.ctx, d.IMAP(), user, "pass", folder, mail); err != nil {
		x.t.Fatal(err)
	}
}

// run sends commands to a server as the user.
func (x *crossing) run(d *testbed.Dovecot, user string, commands ...string) {
	x.t.Helper()
	c, err := testbed.Login(x.ctx, d.IMAP(), user, "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	for _, cmd := range commands {
		if _, err := c.Do(cmd); err != nil {
			x.t.Fatalf("%s: %v", cmd, err)
		}
	}
}

// TestForeignMailHolds: a target that holds mail which the engine did not put there stays untouched (I4).
func TestForeignMailHolds(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, format := range []string{"maildir", "mdbox"} {
			t.Run(fmt.Sprintf("%s plain=%v", format, plain), func(t *testing.T) { testForeignMailHolds(t, format, plain) })
		}
	}
}

func testForeignMailHolds(t *testing.T, format string, plain bool) {
	x := newCrossing(t, "maildir", format, func(x *crossing) { x.plain = plain })
	x.seed("alice", testbed.SeedSpec{Seed: 2, NoLarge: true})
	for began := time.Now().Unix(); time.Now().Unix() == began; { // Dovecot's UIDVALIDITY is the second in which the folder is made
		time.Sleep(10 * time.Millisecond)
	}
	x.deliver(x.dst, "alice", "INBOX", "not from here")
	before := x.snapshot(x.dst, "alice")
	x.start()
	x.engine.Offer("alice", "pass")
	x.held("alice", `"INBOX" holds mail of unknown origin`)
	if after := x.snapshot(x.dst, "alice"); !reflect.DeepEqual(before, after) {
		t.Errorf("the target was touched: %v", testbed.Diff(before, after, testbed.DiffOptions{}))
	}

	// The operator moves it away and tries again: INBOX is empty but its first UIDs are spent.
	x.run(x.dst, "alice", "SELECT INBOX", `STORE 1:* +FLAGS (\Deleted)`, "EXPUNGE")
	if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	x.engine.Wake("alice")
	if format == "maildir" { // cannot make a new INBOX, so the operator has to
		x.await("alice", "held again", func(r state.Record) bool {
			return r.Phase == state.Held && strings.Contains(r.Reason, "cannot be made new")
		})
		if err := os.RemoveAll(filepath.Join(x.dst.MailDir, "alice")); err != nil {
			t.Fatal(err)
		}
		if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		x.engine.Wake("alice")
	}
	x.await("alice", "migrated", func(r state.Record) bool { return r.Phase == state.Migrated })
	x.same("alice", testbed.DiffOptions{IgnoreUIDValidity: plain, IgnoreModSeq: plain})
}

// TestForeignMailWhileCopied: mail that somebody delivers into the target between two leases is seen before anything
// is written (I4).
func TestForeignMailWhileCopied(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.settings.HoldBudget = minHold })
	x.seed("alice", testbed.SeedSpec{Seed: 2, NoLarge: true})
	x.start()
	node, err := x.store.Join(x.ctx, "silent", time.Hour) // never acknowledges, so the cutover is called off
	if err != nil {
		t.Fatal(err)
	}
	x.engine.Offer("alice", "pass")
	x.await("alice", "called off for the node", func(r state.Record) bool {
		return r.Phase == state.Tailing && r.Attempts > 0 && r.Owner == "" && strings.Contains(r.Reason, "waiting for node silent")
	})
	x.deliver(x.dst, "alice", "Archive", "not from here")
	if err := x.store.Leave(x.ctx, node); err != nil {
		t.Fatal(err)
	}
	x.engine.Wake("alice")
	x.held("alice", "changed by somebody else")
}

// TestSameMailbox: one mailbox under two names would have sessions on both sides at once (I3).
func TestSameMailbox(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.master = true })
	x.seed("alice", testbed.SeedSpec{Seed: 3, NoLarge: true})
	home := x.src.MailDir
	link(t, home, "alice", "bob")
	x.start()
	x.engine.Offer("alice", "pass")
	x.awaitPhase("alice", state.Migrated)
	x.engine.Offer("bob", "pass")
	x.held("bob", "same mailbox as alice")
}

// TestTargetRefusesPassword: a user whom the target would lock out is never cut over.
func TestTargetRefusesPassword(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.master = true })
	x.seed("alice", testbed.SeedSpec{Seed: 4, NoLarge: true})
	if err := x.src.SetUser(x.ctx, "alice", "only the source knows this"); err != nil {
		t.Fatal(err)
	}
	x.start()
	x.engine.Offer("alice", "only the source knows this")
	x.held("alice", "does not let the user in")
}

// TestNamesDiffer: clients would see other folder names after the switch (I2).
func TestNamesDiffer(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) {
		x.dstConfig = "namespace inbox {\n separator = .\n}"
	})
	x.seed("alice", testbed.SeedSpec{Seed: 5, NoLarge: true})
	x.start()
	x.engine.Offer("alice", "pass")
	x.held("alice", "names differ")
}

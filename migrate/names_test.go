package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// TestOtherNames moves an account from Courier, whose folders begin with INBOX. and are separated by dots, to a Dovecot with
// slashes and no prefix: every folder gets there under its mapped name, with its UIDs. The user is held before the switch unless
// the operator accepts that clients see other names (I2).
func TestOtherNames(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(map[bool]string{false: "exact", true: "translated"}[plain], func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			bed := testbed.ForTest(t)
			src, err := bed.Courier(testbed.CourierOptions{})
			if err != nil {
				t.Fatal(err)
			}
			dst, err := bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Doveadm: !plain})
			if err != nil {
				t.Fatal(err)
			}
			x := &crossing{t: t, ctx: ctx, dst: dst, plain: plain, settings: patient()}
			if _, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", testbed.BulkSpec{Seed: 4, Messages: 100, Folders: 4, Missing: 0.2}); err != nil {
				t.Fatal(err)
			}
			commands(t, ctx, src.IMAP(), `CREATE INBOX.Work`, `CREATE INBOX.Work.50=2F`, `CREATE "INBOX.Entw&APw-rfe.x=y"`, `SUBSCRIBE INBOX.Work`)

			x.startFrom(src.IMAP())
			x.held("alice", `"INBOX.Work" is "Work"`)
			x.held("alice", `give the target the prefix "INBOX." and the separator "."`)
			x.stop()
			x.settings.Allow = []string{ClassNames}
			x.startAgain(src.IMAP())
			x.awaitPhase("alice", state.Migrated)

			here, there := snapshotOf(t, ctx, src.IMAP()), snapshotOf(t, ctx, dst.IMAP())
			if there.Folders["Work/50=3D2F"] == nil || there.Folders["Entw&APw-rfe/x=y"] == nil {
				t.Errorf("folders %q", slices.Sorted(maps.Keys(there.Folders)))
			}
			renameAccount(here, mapping{courier, slashed})
			for _, line := range testbed.Diff(here, there, testbed.DiffOptions{UIDNextNotLower: true, IgnoreModSeq: true, IgnoreUIDValidity: plain}) {
				if !strings.Contains(line, "delimiter") {
					t.Errorf("source != target: %s", line)
				}
			}
			x.tableRight(there)
		})
	}
}

// startAgain goes on with the same store and other settings.
func (x *crossing) startAgain(source string) {
	x.t.Helper()
	x.startFrom(source)
	if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
		x.t.Fatal(err)
	}
	x.engine.Wake("alice")
}

// tableRight demands that the relay finds what it has to tell clients under the names that they use at the target.
func (x *crossing) tableRight(there *testbed.Account) {
	x.t.Helper()
	rows, err := x.store.Folders(x.ctx, "alice")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, f := range rows {
		if at := there.Folders[f.AtTarget()]; at == nil || at.UIDValidity != f.TargetUIDValidity {
			x.t.Errorf("%q is said to be %q at the target, with UIDVALIDITY %d: %+v", f.Name, f.AtTarget(), f.TargetUIDValidity, at)
		}
	}
}

func snapshotOf(t *testing.T, ctx context.Context, addr string) *testbed.Account {
	t.Helper()
	a, err := testbed.Snapshot(ctx, addr, "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// renameAccount gives all that is in the account the names that it has at the target.
func renameAccount(a *testbed.Account, m mapping) {
	renamed := map[string]*testbed.Folder{}
	for n, f := range a.Folders {
		f.Delimiter = m.dst.separator()
		renamed[m.target(n)] = f
	}
	a.Folders = renamed
	for i, n := range a.Subscribed {
		a.Subscribed[i] = m.target(n)
	}
	slices.Sort(a.Subscribed)
}

// commands sends commands to a server as alice.
func commands(t *testing.T, ctx context.Context, addr string, list ...string) {
	t.Helper()
	c, err := testbed.Login(ctx, addr, "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, cmd := range list {
		if _, err := c.Do(cmd); err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
	}
}

// TestDottedNames: a dot in a name is no separator at a target that has dots for that, nor is a child of INBOX taken for a folder
// beside it.
func TestDottedNames(t *testing.T) {
	x, source := pairOf(t, dovecotWith(testbed.DovecotOptions{Format: "mdbox"}), testbed.DovecotOptions{Format: "mdbox", Separator: ".", Prefix: "INBOX."})
	for _, folder := range []string{"v1.2/x.y", "Sent", "INBOX/child", "a=2Eb"} {
		commands(t, x.ctx, source, "CREATE "+folder, "SUBSCRIBE "+folder)
		if _, err := testbed.Append(x.ctx, source, "alice", "pass", folder, testbed.Mail{Body: "Subject: x\r\n\r\n" + folder + "\r\n"}); err != nil {
			t.Fatal(err)
		}
	}
	x.settings.Allow = []string{ClassNames}
	x.startFrom(source)
	x.awaitPhase("alice", state.Migrated)
	here, there := snapshotOf(t, x.ctx, source), snapshotOf(t, x.ctx, x.dst.IMAP())
	renameAccount(here, mapping{slashed, courier})
	for _, line := range testbed.Diff(here, there, testbed.DiffOptions{UIDNextNotLower: true, IgnoreModSeq: true}) {
		if line != "INBOX.INBOX: only in the second, with 0 messages" { // the server shows parents
			t.Errorf("source != target: %s", line)
		}
	}
	x.tableRight(there)
}

// renameSource gives the folders of the source the names that are recorded of the target, as far as these are not the
// mapped ones.
func (x *crossing) renameSource(a *testbed.Account) {
	x.t.Helper()
	rows, err := x.store.Folders(x.ctx, "alice")
	if err != nil {
		x.t.Fatal(err)
	}
	for _, f := range rows {
		if f.Target == "" || a.Folders[f.Name] == nil {
			continue
		}
		x.t.Logf("%q is %q at the target", f.Name, f.Target)
		a.Folders[f.Target] = a.Folders[f.Name]
		delete(a.Folders, f.Name)
		if i := slices.Index(a.Subscribed, f.Name); i >= 0 {
			a.Subscribed[i] = f.Target
		}
	}
	slices.Sort(a.Subscribed)
}

func TestStrictNames(t *testing.T) {
	for _, test := range []struct {
		m            mapping
		name, strict string
	}{
		{mapping{slashed, slashed}, "a%b/c", "a=25b/c"},
		{mapping{slashed, slashed}, "a=25b", "a=3D25b"},
		{mapping{slashed, slashed}, "tab&AAk-in", "tab=26AAk-in"},
		{mapping{slashed, slashed}, "x/cur", "x/=63ur"},
		{mapping{slashed, slashed}, " lead/trail ", "=20lead/trail=20"},
		{mapping{slashed, slashed}, "Entw&APw-rfe~", "Entw&APw-rfe=7E"},
		{mapping{slashed, slashed}, "raw \xc3&", "raw =C3=26"},
		{mapping{courier, slashed}, "INBOX.a/b", "a=2Fb"},
		{mapping{courier, slashed}, "INBOX.cur", "=63ur"},
		{mapping{slashed, courier}, "~x.y/z", "INBOX.=7Ex=2Ey.z"},
	} {
		if got := test.m.strict(test.name); got != test.strict {
			t.Errorf("%v: strict(%q) = %q; want %q", test.m, test.name, got, test.strict)
		}
	}
}

// TestNamesFolded: a target that gives two names to one folder must not get the mail of two in it (I1).
func TestNamesFolded(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("Work", 1, 2)
	s.src.deliver("work", 1)
	s.dst.hook = func(verb, args string) (string, bool) {
		if !strings.HasPrefix(args, `"work"`) {
			return "", false
		}
		var status string
		s.dst.do(func() {
			if f := s.dst.folders["Work"]; f != nil {
				status = fmt.Sprintf("* STATUS work (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)\r\n", len(f.mail), f.next, f.validity)
			}
		})
		switch verb {
		case "CREATE":
			return "%t NO [ALREADYEXISTS] there is one\r\n", true
		case "STATUS":
			return status + "%t OK done\r\n", true
		}
		return "", false
	}
	s.start()
	s.held("names collide", `"Work"`, `"work"`)
}

// TestNamesMadeEqual: the operator does what the reason advises. Nothing is copied again, and clients keep their names (I2).
func TestNamesMadeEqual(t *testing.T) {
	extra := filepath.Join(t.TempDir(), "names.conf")
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) {
		x.srcConfig = "namespace inbox {\n separator = .\n prefix = INBOX.\n}"
		x.dstConfig = "!include_try " + extra
	})
	x.seed("alice", testbed.SeedSpec{Seed: 5, NoLarge: true, Plain: true})
	x.start()
	x.engine.Offer("alice", "pass")
	x.held("alice", "names differ")
	copied := x.await("alice", "held", func(r state.Record) bool { return r.Owner == "" }).BytesDone
	if err := os.WriteFile(extra, []byte(x.srcConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.dst.Stop(), x.dst.Start()); err != nil {
		t.Fatal(err)
	}
	x.retry()
	if rec := x.awaitPhase("alice", state.Migrated); rec.BytesDone != copied {
		t.Errorf("%d bytes were copied again", rec.BytesDone-copied)
	}
	x.same("alice", testbed.DiffOptions{})
	x.tableRight(x.snapshot(x.dst, "alice"))
}

// TestRefusedName: a name that the target has for itself becomes another one there, if the operator allows it. A new worker and a
// verification know it by what is recorded.
func TestRefusedName(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.master = true })
	x.run(x.src, "alice", "CREATE dbox-Mails", "SUBSCRIBE dbox-Mails")
	x.deliver(x.src, "alice", "dbox-Mails", "one")
	x.settings.Allow = []string{ClassNames}
	x.copied()
	x.stop()
	x.deliver(x.src, "alice", "dbox-Mails", "two")
	x.settings = DefaultSettings()
	x.settings.Allow = []string{ClassNames}
	x.start()
	x.engine.Offer("alice", "pass")
	x.awaitPhase("alice", state.Migrated)
	here, there := x.snapshot(x.src, "alice"), x.snapshot(x.dst, "alice")
	x.renameSource(here)
	for _, line := range testbed.Diff(here, there, testbed.DiffOptions{UIDNextNotLower: true, IgnoreModSeq: true}) {
		t.Errorf("source != target: %s", line)
	}
	if there.Folders["=64box-Mails"] == nil {
		t.Errorf("folders %q", slices.Sorted(maps.Keys(there.Folders)))
	}
	if lines, sum := x.verify(VerifyOptions{}); sum.Differences != 0 {
		t.Errorf("verify: %q", lines)
	}
	x.tableRight(there)
}

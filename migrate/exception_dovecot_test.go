package migrate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// excepted returns alice's exceptions, each as "folder uid class".
func (x *crossing) excepted() (lines []string) {
	x.t.Helper()
	list, err := x.store.Exceptions(x.ctx, "alice", "", 1000)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range list {
		lines = append(lines, fmt.Sprintf("%s %d %s", e.Folder, e.UID, e.Class))
		x.t.Logf("%s: %s", lines[len(lines)-1], e.Text)
	}
	return lines
}

func (x *crossing) fill(folder string, bodies ...string) {
	x.t.Helper()
	for _, body := range bodies {
		if _, err := testbed.Append(x.ctx, x.src.IMAP(), "alice", "pass", folder, testbed.Mail{Flags: `\Seen`, Date: fakeDate, Body: body}); err != nil {
			x.t.Fatal(err)
		}
	}
}

// TestTooBigForDovecot: a Dovecot that bounds the size of messages gets notes in the place of larger ones, also of those
// that go alone, and all others as they are.
func TestTooBigForDovecot(t *testing.T) {
	x := newCrossing(t, "mdbox", "mdbox", func(x *crossing) {
		x.dstConfig = "mail_plugins = quota\nplugin {\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_max_mail_size = 100k\n}\n"
	})
	large := "Subject: large\r\nMessage-ID: <large@x>\r\n\r\n" + strings.Repeat("0123456789abcd\r\n", 8<<10)
	x.fill("INBOX", "Subject: one\r\n\r\none\r\n", large, "Subject: three\r\n\r\nthree\r\n", strings.Repeat(large, 12), "Subject: five\r\n\r\nfive\r\n")
	x.settings.Allow = []string{ClassTooBig}
	x.settings.VerifyBodies = VerifyAll
	x.start()
	x.engine.Offer("alice", "pass")
	x.awaitPhase("alice", state.Migrated)
	if got, want := x.excepted(), []string{"INBOX 2 too-big", "INBOX 4 too-big"}; !slices.Equal(got, want) {
		t.Errorf("exceptions %q, want %q", got, want)
	}
	src, dst := x.snapshot(x.src, "alice").Folders["INBOX"], x.snapshot(x.dst, "alice").Folders["INBOX"]
	for uid, m := range src.Messages {
		n, ok := dst.Messages[uid]
		if !ok || uid%2 == 1 && n != m || n.Flags != m.Flags || !n.InternalDate.Equal(m.InternalDate) {
			t.Errorf("uid %d: %+v became %+v", uid, m, n)
		}
	}
}

// fileOf finds the file of a message in a Maildir, by Dovecot's list of UIDs.
func fileOf(t *testing.T, dir string, uid int) string {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(dir, "dovecot-uidlist"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if number != fmt.Sprint(uid) || !ok {
			continue
		}
		name = name[strings.IndexByte(name, ':')+1:]
		if files, _ := filepath.Glob(filepath.Join(dir, "*", name+"*")); len(files) == 1 {
			return files[0]
		}
	}
	t.Fatalf("no file of uid %d in %s", uid, list)
	return ""
}

// TestUnreadableInDovecot: messages whose files a Dovecot has lost, or lost a part of, behind its cache do not keep the
// others from crossing, and whatever it cannot give is an exception.
func TestUnreadableInDovecot(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox")
	for i := range 6 {
		x.fill("INBOX", fmt.Sprintf("Subject: message %d\r\nMessage-ID: <%d@x>\r\n\r\n%s", i+1, i+1, strings.Repeat("0123456789abcd\r\n", 1<<10)))
	}
	before := x.snapshot(x.src, "alice") // fills the cache
	for uid, spoil := range map[int]func(string) error{
		2: func(f string) error { return os.Truncate(f, 100) },
		4: os.Remove,
		5: func(f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o700)) },
	} {
		file := fileOf(t, filepath.Join(x.src.MailDir, "alice/maildir"), uid)
		about, err := os.Stat(file)
		if err == nil {
			err = spoil(file)
		}
		if _, gone := os.Stat(file); err == nil && gone == nil {
			err = os.Chtimes(file, about.ModTime(), about.ModTime()) // INTERNALDATE
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	x.settings.Allow = []string{ClassUnreadable}
	x.start()
	x.engine.Offer("alice", "pass")
	x.awaitPhase("alice", state.Migrated)
	if got, want := x.excepted(), []string{"INBOX 2 unreadable", "INBOX 5 unreadable"}; !slices.Equal(got, want) {
		t.Errorf("exceptions %q, want %q", got, want)
	}
	after := x.snapshot(x.dst, "alice").Folders["INBOX"]
	for uid, m := range before.Folders["INBOX"].Messages {
		n, there := after.Messages[uid]
		expunged := uid == 4 // a file that is gone is a message that is gone, to Dovecot
		if there == expunged || n.Flags != m.Flags && there || n.Sum != m.Sum && !slices.Contains([]uint32{2, 4, 5}, uid) {
			t.Errorf("uid %d: %+v became %+v", uid, m, n)
		}
	}
}

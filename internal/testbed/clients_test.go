package testbed

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The second run of a client that has everything in its cache changes nothing,
// and a run after a new and a lost message tells of both.
func TestMailClients(t *testing.T) {
	Need(t, "dovecot", "doveadm", "mbsync", "offlineimap")
	d := dovecot(t, DovecotOptions{})
	type client func(ctx context.Context, addr, user, pass, dir string, opts ...DialOption) (SyncResult, error)
	tests := []struct {
		user string
		sync client
		addr string
		opts []DialOption
		want func(m map[uint32]Message) int // how many of a folder the client fetches
	}{
		{"alice", Mbsync, d.IMAPS(), []DialOption{WithCA(d.CertFile)}, undeleted},
		{"bob", OfflineIMAP, d.IMAPS(), []DialOption{WithCA(d.CertFile)}, everything},
		{"carol", OfflineIMAP, d.IMAP(), nil, everything},
	}
	for _, test := range tests {
		t.Run(test.user, func(t *testing.T) {
			t.Parallel()
			seed(t, d, test.user, SeedSpec{Plain: true, NoLarge: true})
			before := snapshot(t, d, test.user)
			dir := InMemory(t)
			run := func() SyncResult {
				t.Helper()
				r, err := test.sync(t.Context(), test.addr, test.user, "pass", dir, test.opts...)
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			want := 0
			for _, f := range before.Folders {
				want += test.want(f.Messages)
			}
			if r := run(); r.ExitCode != 0 || r.Fetched != want || r.Removed != 0 {
				t.Errorf("first run: %d fetched, want %d, exit code %d\n%s", r.Fetched, want, r.ExitCode, r.Output)
			}
			if err := run().Idle(); err != nil {
				t.Errorf("second run: %v", err)
			}
			same(t, before, snapshot(t, d, test.user), DiffOptions{})

			deliver(t, d, test.user, "INBOX", Mail{Body: "Subject: new\r\n\r\nnew\r\n"})
			c := login(t, d, test.user)
			do(t, c, "SELECT Archive")
			do(t, c, `STORE 1 FLAGS.SILENT (\Deleted)`)
			do(t, c, "EXPUNGE")
			r := run()
			if r.ExitCode != 0 || r.Fetched != 1 || r.Removed != 1 || r.Idle() == nil {
				t.Errorf("third run: %d fetched, %d removed, exit code %d", r.Fetched, r.Removed, r.ExitCode)
			}
		})
	}
}

func everything(m map[uint32]Message) int { return len(m) }

// undeleted is what mbsync fetches: it leaves messages that are to be expunged.
func undeleted(m map[uint32]Message) int {
	n := 0
	for _, m := range m {
		if !strings.Contains(m.Flags, `\Deleted`) {
			n++
		}
	}
	return n
}

func TestMbsyncWithWrongPassword(t *testing.T) {
	Need(t, "dovecot", "doveadm", "mbsync")
	d := dovecot(t, DovecotOptions{})
	r, err := Mbsync(t.Context(), d.IMAP(), "alice", "wrong", InMemory(t))
	if err != nil || r.ExitCode == 0 || r.Idle() == nil {
		t.Errorf("exit code %d, %v; want a failure of the run", r.ExitCode, err)
	}
}

func TestTreeChanges(t *testing.T) {
	dir := InMemory(t)
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("INBOX/cur/1:2,", "one")
	write("INBOX/cur/2:2,S", "two")
	write("INBOX/new/3", "three")
	write("INBOX/.mbsyncstate", "1")
	before, err := maildirTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	write("INBOX/.mbsyncstate", "2")
	write("INBOX/cur/1:2,", "eins")
	if err := os.Rename(filepath.Join(dir, "INBOX/cur/2:2,S"), filepath.Join(dir, "INBOX/cur/2:2,FS")); err != nil {
		t.Fatal(err)
	}
	after, err := maildirTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, before.Changes(after), "other content: INBOX/cur/1:2,", "new: INBOX/cur/2:2,FS", "gone: INBOX/cur/2:2,S")
	if n := lacking(after.messages(), before.messages()); n != 0 {
		t.Errorf("%d messages count as new after a change of flags", n)
	}
}

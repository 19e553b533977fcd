package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// crossing is the program as a process between two real servers.
type crossing struct {
	t              testing.TB
	ctx            context.Context
	dir            string
	source, target *testbed.Dovecot
	config         string
	addr           string // of the proxy, implicit TLS
	p              *process
}

// crossingOptions differ from one crossing to the other.
type crossingOptions struct {
	source, target testbed.DovecotOptions
	more           string // further lines for the configuration, sections and all
	login          string // lines for both [source] and [target]
}

func newCrossing(t testing.TB, opt crossingOptions) *crossing {
	t.Helper()
	testbed.Need(t, "dovecot", "doveadm")
	ctx, cancel := context.WithTimeout(t.Context(), 8*patience)
	t.Cleanup(cancel)
	bed := testbed.ForTest(t)
	x := &crossing{t: t, ctx: ctx, dir: testbed.InMemory(t)}
	var err error
	if x.source, err = bed.Dovecot(opt.source); err != nil {
		t.Fatal(err)
	}
	if x.target, err = bed.Dovecot(opt.target); err != nil {
		t.Fatal(err)
	}
	x.config, err = bed.Ferry(x.dir, testbed.Ferry{
		Addr:   fmt.Sprintf("127.0.0.1:%d", testbed.Port(t)), // stays when the program starts again, as it does for people: clients keep their caches by it
		Source: fmt.Sprintf("url = \"imap://%s\"\n%s", x.source.IMAP(), opt.login),
		Target: fmt.Sprintf("url = \"imap://%s\"\n%s%s", x.target.IMAP(), x.target.DoveadmLines(), opt.login),
		More:   opt.more,
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// serve starts the program and waits until it listens.
func (x *crossing) serve(env ...string) {
	x.t.Helper()
	x.p = program(x.t, env, "serve", "--config", x.config)
	x.addr = x.p.await(`msg=listening imaps=\[(\S+)\]`)[1]
}

// stop ends the program in order.
func (x *crossing) stop() {
	x.t.Helper()
	if err := x.p.cmd.Process.Signal(os.Interrupt); err != nil {
		x.t.Fatal(err)
	}
	if code := x.p.exit(); code != done {
		x.t.Fatalf("exit %d", code)
	}
}

func (x *crossing) ca() testbed.DialOption { return testbed.WithCA(x.source.CertFile) }

// login logs in through the proxy, which makes the user known, and out again.
func (x *crossing) login(user string) {
	x.t.Helper()
	c, err := testbed.Login(x.ctx, x.addr, user, "pass", x.ca())
	if err != nil {
		x.t.Fatal(err)
	}
	c.Close()
}

// status is what `imapferry status USER --json` prints.
type userStatus struct {
	User, Phase, Fidelity, Reason    string
	LastPass                         string `json:"last_pass"`
	Owner                            string
	Messages, Folders, HoldMS, Epoch int64
	Moved, Disconnected              int64
	Ended                            map[string]int64
}

func (x *crossing) status(user string) (s userStatus) {
	x.t.Helper()
	code, out, stderr := ferry(x.t, "status", user, "--json", "--admin", "unix:"+x.dir+"/admin.sock")
	if code != done {
		return userStatus{Reason: stderr}
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		x.t.Fatal(err)
	}
	return s
}

// await waits until the user is in phase.
func (x *crossing) await(user, phase string) userStatus {
	x.t.Helper()
	for {
		s := x.status(user)
		if s.Phase == phase {
			return s
		}
		if s.Phase == "held" {
			x.t.Fatalf("%s is held: %s", user, s.Reason)
		}
		select {
		case <-x.ctx.Done():
			x.t.Fatalf("%s is not %s but %+v", user, phase, s)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (x *crossing) snapshot(addr, user string, opts ...testbed.DialOption) *testbed.Account {
	x.t.Helper()
	a, err := testbed.Snapshot(x.ctx, addr, user, "pass", opts...)
	if err != nil {
		x.t.Fatal(err)
	}
	return a
}

// same demands that b holds what a holds.
func (x *crossing) same(what string, a, b *testbed.Account, opt testbed.DiffOptions) {
	x.t.Helper()
	opt.UIDNextNotLower = true
	for _, line := range testbed.Diff(a, b, opt) {
		if !strings.Contains(line, "HIGHESTMODSEQ") { // the engine's own tests look at it
			x.t.Errorf("%s: %s", what, line)
		}
	}
}

// Real clients that have synchronised before the crossing find nothing new after it, and change nothing (I2).
func TestClientsNoticeNothing(t *testing.T) {
	testbed.Need(t, "mbsync", "offlineimap")
	tests := []struct {
		name, fidelity string
		crossingOptions
	}{
		{"maildir to mdbox", "exact", crossingOptions{
			source: testbed.DovecotOptions{Format: "maildir"}, target: testbed.DovecotOptions{Format: "mdbox", Doveadm: true}}},
		{"mdbox to maildir", "exact", crossingOptions{
			source: testbed.DovecotOptions{Format: "mdbox"}, target: testbed.DovecotOptions{Format: "maildir", Doveadm: true}}},
		{"maildir to mdbox without doveadm", "translated", crossingOptions{
			source: testbed.DovecotOptions{Format: "maildir"}, target: testbed.DovecotOptions{Format: "mdbox"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			x := newCrossing(t, test.crossingOptions)
			if _, err := testbed.Seed(x.ctx, x.source.IMAP(), "alice", "pass", testbed.SeedSpec{Seed: 11, Plain: true}); err != nil {
				t.Fatal(err)
			}
			x.serve("IMAPFERRY_MIGRATE_ON_LOGIN=false")
			sync := func() (runs []testbed.SyncResult) {
				for _, run := range []func(context.Context, string, string, string, string, ...testbed.DialOption) (testbed.SyncResult, error){testbed.Mbsync, testbed.OfflineIMAP} {
					r, err := run(x.ctx, x.addr, "alice", "pass", filepath.Join(x.dir, fmt.Sprint("client", len(runs))), x.ca())
					if err != nil || r.ExitCode != 0 {
						t.Fatalf("%v, exit %d:\n%s", err, r.ExitCode, r.Output)
					}
					runs = append(runs, r)
				}
				return runs
			}
			for i, r := range sync() {
				if r.Fetched == 0 {
					t.Fatalf("client %d fetched nothing at first:\n%s", i, r.Output)
				}
			}
			before := x.snapshot(x.addr, "alice", x.ca())
			x.stop()
			x.serve()
			x.login("alice")
			if s := x.await("alice", "migrated"); s.Fidelity != test.fidelity {
				t.Errorf("fidelity %s, want %s", s.Fidelity, test.fidelity)
			}
			for i, r := range sync() {
				if err := r.Idle(); err != nil {
					t.Errorf("client %d after the crossing: %v\n%s", i, err, r.Output)
				}
			}
			x.same("through the proxy", before, x.snapshot(x.addr, "alice", x.ca()), testbed.DiffOptions{})
			x.same("in the target", before, x.snapshot(x.target.IMAP(), "alice"), testbed.DiffOptions{IgnoreUIDValidity: test.fidelity == "translated"})
		})
	}
}

// Killed at any moment of the copy, the program resumes, at once with a master login and else at the next login, and ends
// equal (I1, I4).
func TestKilledWhileCopying(t *testing.T) {
	const master = "login = \"master\"\nmaster_user = \"master\"\nmaster_password = \"masterpass\"\n"
	for _, test := range []struct {
		name    string
		doveadm bool
		login   string
	}{{"doveadm", true, master}, {"plain", false, master}, {"passthrough", true, ""}} {
		t.Run(test.name, func(t *testing.T) {
			x := newCrossing(t, crossingOptions{
				source: testbed.DovecotOptions{Format: "maildir"}, target: testbed.DovecotOptions{Format: "mdbox", Doveadm: test.doveadm},
				login: test.login,
			})
			if _, err := testbed.Bulk(x.ctx, x.source.IMAP(), "alice", "pass", testbed.BulkSpec{Seed: 5, Messages: 1500, Folders: 6, Missing: 0.1}); err != nil {
				t.Fatal(err)
			}
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			x.serve()
			x.login("alice")
			for range 3 {
				// Any moment will do; a copy of this size takes about a second.
				select {
				case <-time.After(time.Duration(rng.IntN(400)) * time.Millisecond):
				case <-x.ctx.Done():
				}
				if err := x.p.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				x.p.exit()
				x.serve()
				if test.login == "" {
					x.login("alice")
				}
			}
			x.await("alice", "migrated")
			x.same("in the target", x.snapshot(x.source.IMAP(), "alice"), x.snapshot(x.target.IMAP(), "alice"), testbed.DiffOptions{IgnoreUIDValidity: !test.doveadm})
		})
	}
}

// However a name is written, it is one user; and one mailbox is not moved under two names (I3).
func TestOneUser(t *testing.T) {
	x := newCrossing(t, crossingOptions{
		target: testbed.DovecotOptions{Doveadm: true},
		more:   "[users]\ndefault_domain = \"example.org\"\n",
		login:  "user = \"{local}\"\n",
	})
	if _, err := testbed.Seed(x.ctx, x.source.IMAP(), "bob", "pass", testbed.SeedSpec{Seed: 3, NoLarge: true}); err != nil {
		t.Fatal(err)
	}
	x.serve()
	for _, name := range []string{"Bob", "bob", "bob@example.org", "BOB@Example.ORG"} {
		x.login(name)
	}
	x.await("bob@example.org", "migrated")
	code, out, _ := ferry(t, "users", "--json", "--admin", "unix:"+x.dir+"/admin.sock")
	var users []userStatus
	if err := json.Unmarshal([]byte(out), &users); code != done || err != nil || len(users) != 1 || users[0].User != "bob@example.org" {
		t.Errorf("users: exit %d, %v\n%s", code, err, out)
	}

	// The same mailbox under another domain.
	x.login("bob@example.net")
	if s := x.await("bob@example.net", "held"); !strings.HasPrefix(s.Reason, "same mailbox as bob@example.org;") {
		t.Errorf("reason %q", s.Reason)
	}
}

// A client that goes on writing through the crossing finds each message that it was told is stored, once (I1, I3).
func TestWritesThroughTheSwitch(t *testing.T) {
	x := newCrossing(t, crossingOptions{
		source: testbed.DovecotOptions{Format: "maildir"}, target: testbed.DovecotOptions{Format: "mdbox", Doveadm: true},
	})
	if _, err := testbed.Seed(x.ctx, x.source.IMAP(), "alice", "pass", testbed.SeedSpec{Seed: 6}); err != nil {
		t.Fatal(err)
	}
	x.serve()
	var stored []string
	reconnects, after := 0, 0
	for n := 0; after < 20 && reconnects < 5; {
		c, err := testbed.Login(x.ctx, x.addr, "alice", "pass", x.ca())
		if err != nil {
			t.Fatal(err)
		}
		for after < 20 {
			subject := fmt.Sprintf("number %d", n)
			n++
			_, err := c.Append("INBOX", testbed.Mail{Body: "Subject: " + subject + "\r\n\r\ntext\r\n"})
			if err != nil {
				t.Logf("%v; phase %+v", err, x.status("alice"))
				break // the session was ended: nothing was promised
			}
			stored = append(stored, subject)
			if x.status("alice").Phase == "migrated" {
				after++
			}
		}
		c.Close()
		reconnects++
	}
	if reconnects > 2 {
		t.Errorf("the client had to log in %d times; want twice at most", reconnects)
	}
	c := dial(t, x.addr)
	c.do("LOGIN alice pass")
	c.do("SELECT INBOX")
	subjects := c.do("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
	for _, s := range stored {
		if n := strings.Count(subjects, "Subject: "+s+"\r\n"); n != 1 {
			t.Errorf("%s is there %d times", s, n)
		}
	}
}

// passed waits until a worker has looked for stragglers, later than in the pass of before, and is done.
func (x *crossing) passed(user, before string) {
	x.t.Helper()
	x.awaitStatus(user, "somebody has looked for stragglers", func(s userStatus) bool {
		return s.LastPass != "" && s.LastPass != before && s.Owner == ""
	})
}

// awaitStatus waits until what is told of the user satisfies cond.
func (x *crossing) awaitStatus(user, what string, cond func(userStatus) bool) userStatus {
	x.t.Helper()
	for {
		s := x.status(user)
		if cond(s) {
			return s
		}
		select {
		case <-x.ctx.Done():
			x.t.Fatalf("waited in vain until %s: %s is %+v", what, user, s)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

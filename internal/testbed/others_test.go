package testbed

import (
	"encoding/base64"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// imapServer is what tests need of a server of any make.
type imapServer interface {
	IMAP() string
	IMAPS() string
	PID() int
	Start() error
	Stop() error
	Kill() error
	Freeze() error
	Thaw() error
}

func cyrus(t *testing.T, opt CyrusOptions) *Cyrus {
	t.Helper()
	c, err := ForTest(t).Cyrus(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func courier(t *testing.T, opt CourierOptions) *Courier {
	t.Helper()
	c, err := ForTest(t).Courier(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An account on servers of other makes is seeded, read back the same, and
// survives a crash, a stop and a freeze.
func TestOtherServers(t *testing.T) {
	tests := []struct {
		name, prefix, separator string
		start                   func(t *testing.T) (s imapServer, certFile string)
		refuse                  []string // of what is seeded
		ghost                   bool     // keeps the subscription of a deleted folder
	}{
		{"cyrus", "INBOX.", ".", startCyrus(CyrusOptions{}), []string{`INBOX.100%`, `INBOX.(paren) {9}`}, false},
		{"cyrus-alt", "", "/", startCyrus(CyrusOptions{AltNamespace: true, Separator: "/"}), []string{`100%`, `a/b`}, false},
		{"courier", "INBOX.", ".", startCourier, []string{"keyword [brk", "keyword NIL"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			s, certFile := test.start(t)
			t.Logf("started in %s", time.Since(began))
			refusals, err := Seed(t.Context(), s.IMAP(), "alice", "pass", SeedSpec{Seed: 1, NoLarge: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.refuse {
				if !slices.Contains(refusals, want) {
					t.Errorf("refusals %q lack %q", refusals, want)
				}
			}
			a := read(t, s, certFile, "alice")
			name := namespace{test.prefix, test.separator}.path("Archive", "2019", "Q1")
			if f := a.Folders[name]; f == nil || len(f.Messages) == 0 || f.UIDNext < 2 || f.UIDValidity == 0 {
				t.Errorf("%s: %+v", name, f)
			}
			if got := slices.Contains(a.Subscribed, test.prefix+"Gone away"); got != test.ghost {
				t.Errorf("subscription of a folder that is gone: %t; want %t", got, test.ghost)
			}
			for _, end := range []func() error{s.Kill, s.Stop, s.Kill} {
				if err := end(); err != nil {
					t.Fatal(err)
				}
				if err := takes(t.Context(), s.IMAP()); err == nil {
					t.Error("a server that has ended still takes connections")
				}
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
			}
			same(t, a, read(t, s, certFile, "alice"), DiffOptions{})
			frozen(t, s)
		})
	}
}

func startCyrus(opt CyrusOptions) func(t *testing.T) (imapServer, string) {
	return func(t *testing.T) (imapServer, string) {
		c := cyrus(t, opt)
		return c, c.CertFile
	}
}

func startCourier(t *testing.T) (imapServer, string) {
	c := courier(t, CourierOptions{})
	return c, c.CertFile
}

func read(t *testing.T, s imapServer, certFile, user string) *Account {
	t.Helper()
	a, err := Snapshot(t.Context(), s.IMAPS(), user, "pass", WithCA(certFile))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// frozen wants an open session to say nothing until the server thaws. That
// nothing is said cannot be awaited: 50 ms are enough to catch a group of
// processes that the signal has missed.
func frozen(t *testing.T, s imapServer) {
	t.Helper()
	c, err := Login(t.Context(), s.IMAP(), "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	c.write("x NOOP\r\n")
	if err := c.w.Flush(); err != nil {
		t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var timeout net.Error
	if _, err := c.r.r.Peek(1); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a frozen server answers: %v", err)
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	if r, err := c.read(); err != nil || r.Tag != "x" {
		t.Errorf("after the thaw: %+v, %v", r, err)
	}
}

func TestCyrusProxyUser(t *testing.T) {
	t.Parallel()
	s := cyrus(t, CyrusOptions{})
	for _, who := range []string{"proxy\x00proxypass", "cyrus\x00cyruspass"} {
		c, err := Dial(t.Context(), s.IMAP())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		do(t, c, "AUTHENTICATE PLAIN ", base64.StdEncoding.EncodeToString([]byte("alice\x00"+who)))
		do(t, c, "SELECT INBOX")
	}
	if _, err := Login(t.Context(), s.IMAP(), "alice", "wrong"); !refused(err) {
		t.Errorf("wrong password: %v", err)
	}
	admin, err := s.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	do(t, admin, "GETACL ", s.Root("alice"))
}

// A change by one session is told to another that is in IDLE.
func TestIdle(t *testing.T) {
	tests := map[string]func(t *testing.T) (imapServer, string){
		"idled": startCyrus(CyrusOptions{}), "poll": startCyrus(CyrusOptions{Idle: "poll"}), "courier": startCourier,
	}
	for name, start := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := start(t)
			c, err := Login(t.Context(), s.IMAP(), "alice", "pass")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			do(t, c, "SELECT INBOX")
			if _, err := c.send(ignore, "IDLE"); err != nil {
				t.Fatal(err)
			}
			if r, err := c.read(); err != nil || r.Tag != "+" {
				t.Fatalf("IDLE: %+v, %v", r, err)
			}
			began := time.Now()
			if _, err := Append(t.Context(), s.IMAP(), "alice", "pass", "INBOX", Mail{Body: "Subject: x\r\n\r\n"}); err != nil {
				t.Fatal(err)
			}
			if r, err := c.read(); err != nil || len(r.Values) == 0 {
				t.Errorf("in IDLE: %+v, %v", r, err)
			}
			t.Logf("told within %s", time.Since(began))
		})
	}
	off := cyrus(t, CyrusOptions{Idle: "off"})
	c, err := Login(t.Context(), off.IMAP(), "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Has("IDLE") {
		t.Error("IDLE is on offer although it is off")
	}
}

// startAndWait makes the test binary a second process that starts servers.
const startAndWait = "IMAPFERRY_TESTBED_START_AND_WAIT"

// Servers end when their owner is killed, though they have dropped root or
// have groups of their own.
func TestServersEndWithTheirOwner(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"cyrus", "courier"} {
		t.Run(kind, func(t *testing.T) { endsWithOwner(t, kind) })
	}
}

func endsWithOwner(t *testing.T, kind string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), startAndWait+"="+kind)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr := make([]byte, 100)
	n, err := out.Read(addr)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	if err := takes(t.Context(), string(addr[:n])); err != nil {
		t.Errorf("%s: %v", kind, err)
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	for end := time.Now().Add(startWithin); takes(t.Context(), string(addr[:n])) == nil; {
		if time.Now().After(end) {
			t.Errorf("%s has outlived its owner", kind)
			break
		}
	}
}

// serveUntilKilled starts a server, prints its address and waits.
func serveUntilKilled(kind string) error {
	bed, err := New("")
	if err != nil {
		return err
	}
	var s imapServer
	if kind == "cyrus" {
		s, err = bed.Cyrus(CyrusOptions{})
	} else {
		s, err = bed.Courier(CourierOptions{})
	}
	if err != nil {
		return err
	}
	_, _ = os.Stdout.WriteString(s.IMAP())
	select {}
}

// An error says all that is missing, and how to get it.
func TestMissingPackages(t *testing.T) {
	unpacked["no-such-imapd"] = "no-such-package/imapd"
	packages["no-such-tool"] = "no-such-tools"
	defer delete(unpacked, "no-such-imapd")
	defer delete(packages, "no-such-tool")
	err := need("sh", "no-such-tool", "no-such-imapd")
	want := "not installed: no-such-tool, no-such-imapd; on Debian: run .ci/deps as root, which unpacks no-such-package below " +
		unpackedDir + " and installs no-such-tools"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v; want %s", err, want)
	}
}

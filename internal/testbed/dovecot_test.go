package testbed

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMasterUser(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{Plugins: true})
	deliver(t, d, "alice", "INBOX", Mail{Body: "Subject: x\r\n\r\n"})
	if c, err := Login(t.Context(), d.IMAP(), "alice*master", "masterpass"); err != nil {
		t.Errorf("alice*master: %v", err)
	} else {
		do(t, c, "SELECT INBOX") // the acl plugin would hide it
		c.Close()
	}
	c, err := Dial(t.Context(), d.IMAP())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	do(t, c, "AUTHENTICATE PLAIN ", base64.StdEncoding.EncodeToString([]byte("alice\x00master\x00masterpass")))
	do(t, c, "SELECT INBOX")
}

// The address of a client behind the proxy reaches the log by ID and by the
// PROXY protocol.
func TestClientAddress(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{HAProxy: true})
	c, err := Dial(t.Context(), d.IMAP())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	do(t, c, `ID ("x-originating-ip" "203.0.113.7" "x-originating-port" "4711" "x-session-id" "one")`)
	do(t, c, "LOGIN alice pass")

	conn, err := net.Dial("tcp", d.IMAPHAProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PROXY TCP4 203.0.113.8 127.0.0.1 4712 143\r\na LOGIN alice pass\r\n")
	for in := bufio.NewScanner(conn); in.Scan() && !strings.HasPrefix(in.Text(), "a "); {
	}
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	for _, want := range []string{"rip=203.0.113.7", "rip=203.0.113.8", "session=<one>"} {
		if err := d.AwaitLog(ctx, want); err != nil {
			t.Error(err)
		}
	}
}

func TestDoveadmHTTP(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{Doveadm: true})
	deliver(t, d, "alice", "INBOX", Mail{Body: "Subject: x\r\n\r\n"})
	req, err := http.NewRequestWithContext(t.Context(), "POST", d.DoveadmURL(),
		strings.NewReader(`[["mailboxUpdate",{"user":"alice","mailbox":"INBOX","minNextUid":99},"x"]]`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "X-Dovecot-API "+base64.StdEncoding.EncodeToString([]byte(d.APIKey)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer [][]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer) != 1 || answer[0][0] != "doveadmResponse" {
		t.Errorf("%s %v %v", resp.Status, answer, err)
	}
	if f := snapshot(t, d, "alice").Folders["INBOX"]; f.UIDNext != 99 {
		t.Errorf("UIDNEXT %d; want 99", f.UIDNext)
	}
	if line, err := os.ReadFile(d.conf); err != nil || !strings.Contains(string(line), "inet_listener http") {
		t.Errorf("no listener in the configuration: %v", err)
	}
	without := dovecot(t, DovecotOptions{})
	if line, err := os.ReadFile(without.conf); err != nil || strings.Contains(string(line), "service doveadm") {
		t.Errorf("a doveadm listener that nobody asked for: %v", err)
	}
}

// doveadm backup is the yardstick of the benchmarks: what it makes is equal.
func TestBackup(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	source := dovecot(t, DovecotOptions{Format: "maildir"})
	seed(t, source, "alice", SeedSpec{Plain: true, NoLarge: true})
	_, port, err := net.SplitHostPort(source.IMAPS())
	if err != nil {
		t.Fatal(err)
	}
	var imaps int
	fmt.Sscan(port, &imaps)
	target := dovecot(t, DovecotOptions{Format: "mdbox", ImapcPort: imaps})
	if out, err := target.Doveadm(t.Context(), "backup", "-R", "-u", "alice", "imapc:"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	same(t, snapshot(t, source, "alice"), snapshot(t, target, "alice"), DiffOptions{IgnoreModSeq: true})
}

func TestSetUser(t *testing.T) {
	t.Parallel()
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{})
	open := login(t, d, "alice")
	for _, password := range []string{"other", "thing", "p:a ss\"%{}"} {
		if err := d.SetUser(t.Context(), "alice", password); err != nil {
			t.Fatal(err)
		}
		if _, err := Login(t.Context(), d.IMAP(), "alice", "pass"); !refused(err) {
			t.Errorf("the old password: %v", err)
		}
		c, err := Login(t.Context(), d.IMAP(), "alice", password)
		if err != nil {
			t.Fatalf("the new password: %v", err)
		}
		c.Close()
	}
	if err := d.RemoveUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	do(t, open, "NOOP")
	if err := d.SetUser(t.Context(), "a:b", "pass"); err == nil {
		t.Error("a name with a colon passed")
	}
}

func TestReloadKeepsSessions(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{})
	open := login(t, d, "alice")
	if err := d.Reload(); err != nil {
		t.Fatal(err)
	}
	login(t, d, "alice")
	do(t, open, "NOOP")
}

func TestBadConfigurationTellsWhy(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	_, err := ForTest(t).Dovecot(DovecotOptions{ExtraConfig: "no_such_setting = yes"})
	if err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("error %v does not name the setting", err)
	}
	bed, err := New(filepath.Join(t.TempDir(), strings.Repeat("long", 20)))
	if err != nil {
		t.Fatal(err)
	}
	defer bed.Close()
	if _, err := bed.Dovecot(DovecotOptions{}); err == nil {
		t.Error("a folder too long for sockets passed")
	}
}

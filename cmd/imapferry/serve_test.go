package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// patience bounds every wait; it decides nothing but how long a broken test takes.
const patience = 30 * time.Second

// asProgram makes the test binary behave as the program, so that signals and exit codes are real.
const asProgram = "FERRY_TEST_AS_PROGRAM"

// process is a running imapferry whose log can be waited for.
type process struct {
	t   testing.TB
	cmd *exec.Cmd

	mu   sync.Mutex
	log  bytes.Buffer
	more chan struct{} // closed and replaced with each write
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.log.Write(b)
}

// await returns the submatches of the first log line that matches.
func (p *process) await(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		m, more := re.FindStringSubmatch(p.log.String()), p.more
		p.mu.Unlock()
		if m != nil {
			return m
		}
		select {
		case <-more:
		case <-timeout:
			p.t.Fatalf("no log line matches %s", pattern)
		}
	}
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// exit waits for the end of the process and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	timer := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// program starts imapferry in a process of its own.
func program(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, more: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("imapferry %s wrote:\n%s", strings.Join(args, " "), ends(p.text(), logKept))
		}
	})
	return p
}

// logKept is how much of the beginning, and of the end, of a program's log a failed test prints, in bytes.
const logKept = 20_000

// ends returns the first and the last kept bytes of text.
func ends(text string, kept int) string {
	if len(text) <= 2*kept {
		return text
	}
	return text[:kept] + "\n[...]\n" + text[len(text)-kept:]
}

// twoServers starts a source and a target and writes a configuration for them.
func twoServers(t *testing.T) (config, dir string, source, target *testbed.Dovecot) {
	t.Helper()
	bed := testbed.ForTest(t)
	source, err := bed.Dovecot(testbed.DovecotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	target, err = bed.Dovecot(testbed.DovecotOptions{Doveadm: true})
	if err != nil {
		t.Fatal(err)
	}
	dir = testbed.InMemory(t)
	ca := fmt.Sprintf("tls_ca = %q\n", source.CertFile)
	config, err = bed.Ferry(dir, testbed.Ferry{
		StartTLS: true,
		Source:   fmt.Sprintf("url = \"imaps://%s\"\n%s", source.IMAPS(), ca),
		Target:   fmt.Sprintf("url = \"imap+starttls://%s\"\n%s%s", target.IMAP(), ca, target.DoveadmLines()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return config, dir, source, target
}

// client is a mail client that says whole lines.
type client struct {
	t *testing.T
	net.Conn
	in     *bufio.Reader
	within time.Duration // bounds the wait for each answer
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t, conn, bufio.NewReader(conn), patience}
	c.hear("* OK ")
	return c
}

// hear reads up to a line that begins with prefix.
func (c *client) hear(prefix string) string {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(c.within))
	var heard strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		heard.WriteString(line)
		if strings.HasPrefix(line, prefix) {
			return heard.String()
		}
		if err != nil {
			c.t.Fatalf("heard %q and then %v; want %q", heard.String(), err, prefix)
		}
	}
}

func (c *client) do(command string) string {
	c.t.Helper()
	if _, err := io.WriteString(c, "a "+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	return c.hear("a OK")
}

// serviceManager hears what the program tells systemd.
func serviceManager(t *testing.T) (env string, hear func(string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return "NOTIFY_SOCKET=" + path, func(want string) {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(patience))
		buf := make([]byte, 64)
		if n, err := conn.Read(buf); err != nil || string(buf[:n]) != want {
			t.Errorf("service manager heard %q, %v; want %s", buf[:n], err, want)
		}
	}
}

func TestServe(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	env, hear := serviceManager(t)
	p := program(t, []string{env, "IMAPFERRY_MIGRATE_ON_LOGIN=false"}, "serve", "--config", config)
	addr := p.await(`msg=listening imaps=\[(\S+)\] imap=\[(\S+)\] admin=` + dir)
	hear("READY=1")

	c := dial(t, addr[1])
	c.do("LOGIN alice pass")
	c.do("SELECT INBOX")

	second := program(t, nil, "serve", "--config", config)
	if code := second.exit(); code != failed || !strings.Contains(second.text(), "is in use by another imapferry process") {
		t.Errorf("a second process exits %d with\n%s\nwant %d and the reason", code, second.text(), failed)
	}
	if code, out, _ := ferry(t, "check", "--config", config); code != done || !strings.Contains(out, "is in use by a running imapferry") {
		t.Errorf("check beside a running process: exit %d with\n%s", code, out)
	}

	p.cmd.Process.Signal(syscall.SIGHUP)
	p.await("certificates reloaded")
	p.await("aliases reloaded")
	c.do("NOOP")

	p.cmd.Process.Signal(syscall.SIGTERM)
	hear("STOPPING=1")
	c.hear("* BYE ")
	if code := p.exit(); code != done {
		t.Errorf("exit %d after SIGTERM; want %d. The log:\n%s", code, done, p.text())
	}
	p.await("msg=stopped")
	if strings.Contains(p.text(), "level=ERROR") || strings.Contains(p.text(), "pass\n") {
		t.Errorf("the log of a quiet life:\n%s", p.text())
	}
}

// A user is moved at the first login and finds its mail, on the target, under the same UID and UIDVALIDITY (I1, I2).
func TestServeMoves(t *testing.T) {
	config, dir, source, _ := twoServers(t)
	p := program(t, nil, "serve", "--config", config)
	addr := p.await(`msg=listening imaps=\[(\S+)\] imap=\[(\S+)\] admin=` + dir)
	c := dial(t, source.IMAPS())
	c.do("LOGIN bob pass")
	for _, text := range []string{"one", "two", "three"} {
		io.WriteString(c, fmt.Sprintf("a APPEND INBOX {%d+}\r\nSubject: %s\r\n\r\n", len("Subject: \r\n\r\n")+len(text), text)+"\r\n")
		c.hear("a OK")
	}
	c.do("SELECT INBOX")
	c.do("UID STORE 2 +FLAGS.SILENT (\\Deleted)")
	c.do("EXPUNGE")

	view := func() string {
		c := dial(t, addr[1])
		c.do("LOGIN bob pass")
		selected := c.do("EXAMINE INBOX")
		list, _, _ := strings.Cut(c.do("FETCH 1:* (UID RFC822.SIZE)"), "a OK") // which says how long it took
		return regexp.MustCompile(`UIDVALIDITY \d+`).FindString(selected) + list
	}
	before := view()
	p.await(`to=migrated`)
	if after := view(); after != before {
		t.Errorf("after the move the client sees\n%s; before it\n%s", after, before)
	}
	p.await(`msg="logged in".* user=bob backend=target`)
	code, out, stderr := ferry(t, "status", "Bob", "--admin", "unix:"+dir+"/admin.sock")
	if code != done || !strings.Contains(out, "phase       migrated\n") || !strings.Contains(out, "fidelity    exact\n") || !strings.Contains(out, "messages    2 of 2 (100%)") {
		t.Errorf("status of a migrated user: exit %d, %s\n%s", code, stderr, out)
	}
}

// A process that cannot have its addresses fails without a trace (I9).
func TestServeAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, key := range []string{"imaps", "admin"} {
		addr := fmt.Sprintf("%q", taken.Addr())
		if key == "imaps" {
			addr = "[" + addr + "]\nadmin = \"\""
		}
		_, dir, _ := configure(t, fmt.Sprintf("[listen]\nimap = [\"127.0.0.1:0\"]\n%s = %s\n[state]\nurl = \"bolt:DIR/new/state.db\"\n%s", key, addr, least))
		code, _, stderr := ferry(t, "serve", "--config", filepath.Join(dir, "ferry.toml"))
		if code != failed || !strings.Contains(stderr, "imapferry serve: listen ") || !strings.Contains(stderr, "address already in use") {
			t.Errorf("%s taken: exit %d with\n%s\nwant %d and the reason", key, code, stderr, failed)
		}
	}
}

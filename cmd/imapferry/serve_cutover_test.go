package main

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// add appends a small message to INBOX.
func (c *client) add(subject string) {
	c.t.Helper()
	text := "Subject: " + subject + "\r\n\r\n"
	if _, err := io.WriteString(c, fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s\r\n", len(text), text)); err != nil {
		c.t.Fatal(err)
	}
	c.hear("a OK")
}

// sees demands that command answers all of words.
func (c *client) sees(command string, words ...string) {
	c.t.Helper()
	heard := c.do(command)
	for _, w := range words {
		if !strings.Contains(heard, w) {
			c.t.Errorf("%s answers no %q:\n%s", command, w, heard)
		}
	}
}

// awaitStatus waits until the status of user has all of words, whatever the space between columns.
func awaitStatus(t *testing.T, socket, user string, words ...string) {
	t.Helper()
	columns := regexp.MustCompile(`  +`)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		code, out, stderr := ferry(t, "status", user, "--admin", "unix:"+socket)
		printed := columns.ReplaceAllString(out, "  ")
		if code == done && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(printed, w) }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("status %s: exit %d, %s\n%s\nwant %q", user, code, stderr, out, words)
		}
	}
}

// With manual a user who is ready is served by the source, and status says what to do. The command switches at once, with what has come
// meanwhile, and the open session goes on (I1, I2).
func TestServeManual(t *testing.T) {
	config, dir, source, _ := twoServers(t)
	p := program(t, []string{"IMAPFERRY_MIGRATE_CUTOVER=manual"}, "serve", "--config", config)
	addr := p.await(`msg=listening imaps=\[(\S+)\]`)[1]
	socket := filepath.Join(dir, "admin.sock")
	c := dial(t, addr)
	c.do("LOGIN alice pass")
	c.do("SELECT INBOX")
	c.add("before")
	p.await(`msg=waiting user=alice reason="ready; waits for .imapferry cutover alice.`)
	awaitStatus(t, socket, "alice", "phase  tailing\n", "reason  ready; waits for `imapferry cutover alice`\n", "next look  20")

	c.add("meanwhile")
	again := dial(t, addr)
	again.do("LOGIN alice pass")
	p.await(`msg="logged in".* user=alice backend=source`)
	direct := dial(t, source.IMAPS())
	direct.do("LOGIN alice pass")
	direct.add("by somebody else")

	if code, out, stderr := ferry(t, "cutover", "alice", "--admin", "unix:"+socket); code != done || out != "alice: tailing\n" {
		t.Errorf("cutover: exit %d with %s%s", code, out, stderr)
	}
	awaitStatus(t, socket, "alice", "phase  migrated\n", ", 2 moved, 0 ended\n")
	c.sees("NOOP", "* 3 EXISTS")
	c.sees("FETCH 1:3 BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "before", "meanwhile", "by somebody else")
	again.do("SELECT INBOX")
	if code, _, stderr := ferry(t, "cutover", "alice", "--admin", "unix:"+socket); code != failed || !strings.Contains(stderr, "alice is on the target already") {
		t.Errorf("cutover of a migrated user: exit %d with %s", code, stderr)
	}
}

// With idle nobody is switched who has a session on any node. Sessions elsewhere are found by a hold, which leaves them working on the
// source (I5); when the last one ends, wherever that is, the user is switched.
func TestServeIdle(t *testing.T) {
	nodes, addrs, dir := twoNodes(t, "IMAPFERRY_MIGRATE_CUTOVER=idle", "IMAPFERRY_MIGRATE_HOLD_BUDGET=30s") // so that a slow machine passes for no busy session
	two := dial(t, addrs[1])
	two.do("LOGIN bob pass")
	two.do("SELECT INBOX")
	two.add("first")
	nodes[1].await(`msg=waiting user=bob reason="ready; waits until the user has no session \(1 open on node two\)`)
	one := dial(t, addrs[0])
	one.do("LOGIN bob pass")
	one.do("SELECT INBOX")

	two.add("second")
	two.do("LOGOUT")
	nodes[1].await(`msg=waiting user=bob reason="ready; waits until the user has no session \(1 open on node one\)`)
	one.sees("NOOP", "* 2 EXISTS")
	one.add("third")
	awaitStatus(t, filepath.Join(dir, "two.sock"), "bob", "phase  tailing\n", "(1 open on node one); `imapferry cutover bob` does not\n")

	one.do("LOGOUT")
	nodes[0].await(`msg=phase user=bob from=cutover to=migrated`)
	last := dial(t, addrs[1])
	last.do("LOGIN bob pass")
	nodes[1].await(`msg="logged in".* user=bob backend=target`)
	last.sees("EXAMINE INBOX", "* 3 EXISTS")
	awaitStatus(t, filepath.Join(dir, "one.sock"), "bob", ", 0 moved, 0 ended\n")
}

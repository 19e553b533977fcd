package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// held has a session's NOOP kept back until the session is held. What it returns lets the NOOP pass.
func (m *moving) held(t *testing.T, user string, c *client) *testbed.Kept {
	t.Helper()
	return m.heldAt(t, user, c, "k NOOP\r\n")
}

// heldAt is held with another command.
func (m *moving) heldAt(t *testing.T, user string, c *client, command string) *testbed.Kept {
	t.Helper()
	kept := m.gate.Keep(user, 1)
	c.say(command)
	select {
	case <-kept.Reached():
	case <-time.After(switchWithin):
		t.Fatal("the command has not come to the source")
	}
	m.begin(t, user)
	m.awaitHold(t, user)
	return kept
}

// Commands that come in one write while the session is held are obeyed by the target alone, in their order.
func movedPipelined(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX")
	kept := m.held(t, user, c)
	mail := letter("pipelined")
	c.say("p0 NOOP\r\n" +
		"p1 STORE 1 +FLAGS (\\Flagged)\r\n" +
		fmt.Sprintf("p2 APPEND INBOX (\\Seen) {%d+}\r\n%s\r\n", len(mail), mail) +
		"p3 NOOP\r\n" +
		"p4 UID SEARCH FLAGGED\r\n" +
		fmt.Sprintf("p5 APPEND Archive {%d+}\r\n%s\r\n", len(mail), mail) +
		"p6 CREATE {3+}\r\nNew\r\n" +
		"p7 UID COPY 1 New\r\n" +
		"p8 STATUS New (MESSAGES)\r\n" +
		"p9 FETCH 13 (UID)\r\n")
	kept.Pass()
	heard := c.hearAll("k", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9")
	want(t, "the batch", heard, "* 13 EXISTS", "(MESSAGES 1)", "* 13 FETCH (UID 16)", "* SEARCH 1 3 8 13\r\n",
		"* 1 FETCH (FLAGS (\\Flagged \\Seen")
	m.awaitSwitch(t, user)
	m.counted(t, user, 1)
	for _, name := range kept.Commands() {
		switch name {
		case "APPEND", "STORE", "CREATE", "UID COPY":
			if m.opt.still {
				break
			}
			t.Errorf("the source was told %s after the hold: %v", name, kept.Commands())
		}
	}
}

// The ways in which a literal can be under way.
const (
	literalHeldBack     = iota + 1 // its line has come while the session was held
	literalAskedFor                // its line was on the way to the source
	literalHalfSent                // half of it has come
	literalPlusHalfSent            // the same without asking
)

// A message is stored once, however much of it had come when the session was held.
func movedWithLiteral(t *testing.T, m *moving, user string, how int) {
	c := m.enter(t, user, "SELECT INBOX")
	mail := letter("under way")
	line, half := fmt.Sprintf("l APPEND INBOX (\\Seen) {%d}\r\n", len(mail)), mail[:len(mail)/2]
	switch how {
	case literalHeldBack:
		kept := m.held(t, user, c)
		c.say(line)
		kept.Pass()
		c.hear("+ ")
		half = ""
	case literalAskedFor:
		m.heldAt(t, user, c, line).Pass()
		c.hear("+ ")
		half = ""
	case literalHalfSent:
		c.say(line)
		c.hear("+ ")
		c.say(half)
		m.begin(t, user)
		m.awaitHold(t, user)
	case literalPlusHalfSent:
		c.say(strings.Replace(line, "}", "+}", 1) + half)
		m.begin(t, user)
		m.awaitHold(t, user)
	}
	c.say(mail[len(half):] + "\r\n")
	heard := c.hear("l OK ")
	want(t, "APPEND", heard, "APPENDUID")
	heard += c.do("UID FETCH 16 (BODY.PEEK[TEXT])") // Courier counts the message only now
	want(t, "UID FETCH", heard, "* 13 EXISTS", "This is under way.")
	m.awaitSwitch(t, user)
	m.counted(t, user, 1)
	want(t, "SEARCH", c.do("UID SEARCH SUBJECT \"under way\""), "* SEARCH 16\r\n")
}

// plusFirst demands that a client which asks for leave to send a literal hears the answer to that before anything else:
// imaplib2, and with it offlineimap, takes the first response for it. So nothing is told outside commands, and what is
// owed behind the continuation request.
func plusFirst(t *testing.T, m *moving, user string, commands ...string) {
	c := m.enter(t, user, "SELECT INBOX")
	other := m.at(t, m.source, user)
	defer other.Close()
	m.do(t, other, "SELECT INBOX")
	m.do(t, other, "APPEND INBOX ($News) ", testbed.Literal(letter("news")))
	for _, command := range commands {
		m.do(t, other, command)
	}
	m.begin(t, user)
	m.awaitSwitch(t, user)
	for line := range strings.Lines(c.asks("APPEND INBOX {16}")) {
		if !strings.HasPrefix(line, "+ ") {
			t.Errorf("heard %q; want nothing before the continuation request", line)
		}
	}
	c.say("Subject: one\r\n\r\n\r\n")
	want(t, "APPEND", c.hear("q OK "), " EXISTS")
	c.do("NOOP")
	m.counted(t, user, 1)
}

// asks sends a line that ends in a synchronizing literal, and returns what comes up to the leave.
func (c *client) asks(line string) string {
	c.t.Helper()
	c.say("q " + line + "\r\n")
	return c.hear("+ ")
}

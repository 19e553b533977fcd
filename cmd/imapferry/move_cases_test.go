package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// Sessions in every state that a client can leave them in go on at the target, between two of the client's commands (I1,
// I2, I3).
func TestMovedInEachState(t *testing.T) {
	kinds := []struct {
		name  string
		opt   movingOptions
		lacks string // see moveCase
	}{
		{"moved", movingOptions{}, ""},
		{"still", movingOptions{still: true}, ""},
		{"translated", movingOptions{plain: true}, "modseqs"},
		{"from Cyrus", movingOptions{from: "cyrus", manual: true}, "searchres"},
		{"from Courier", movingOptions{from: "courier", manual: true}, "modseqs searchres unselect names"},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			m := newMoving(t, kind.opt)
			some := len(moveCases)
			if kind.opt != (movingOptions{}) {
				some = 8
			}
			for _, n := range testbed.Sample(t, len(moveCases), some) {
				test := moveCases[n-1]
				if test.needs == "" || !slices.Contains(strings.Fields(kind.lacks), test.needs) {
					t.Run(test.name, func(t *testing.T) { m.try(t, test.run) })
				}
			}
		})
	}
}

// moveCase is a session that is moved in some state.
type moveCase struct {
	name  string
	run   func(t *testing.T, m *moving, user string)
	needs string // an extension of both servers, or, with "names", folders that are named as at a Dovecot
}

// try runs a case with a new account.
func (m *moving) try(t *testing.T, run func(t *testing.T, m *moving, user string)) {
	user := m.user()
	m.stock(t, user)
	m.ready(t, user)
	defer func() {
		if t.Failed() {
			t.Log(m.log.about(user))
		}
	}()
	run(t, m, user)
}

var moveCases = append(owedCases, []moveCase{
	{name: "idle", run: movedInIdle},
	{name: "examine", run: movedInExamine},
	{name: "authenticated", run: func(t *testing.T, m *moving, user string) { movedUnselected(t, m, user) }},
	{name: "closed", run: func(t *testing.T, m *moving, user string) { movedUnselected(t, m, user, "SELECT INBOX", "CLOSE") }},
	{name: "unselected", needs: "unselect", run: func(t *testing.T, m *moving, user string) {
		movedUnselected(t, m, user, "SELECT INBOX", "UNSELECT")
	}},
	{name: "select refused", run: func(t *testing.T, m *moving, user string) {
		movedUnselected(t, m, user, "SELECT INBOX", "!SELECT Nowhere")
	}},
	{name: "three sessions", run: movedThree},
	{name: "dozing", run: movedDozing},
	{name: "half a line", run: movedInHalfALine},
	{name: "leaving", run: leavingWhileHeld},
	{name: "gone", run: goneWhileHeld},
	{name: "pipelined", run: movedPipelined, needs: "names"},
	{name: "literal held back", run: func(t *testing.T, m *moving, user string) { movedWithLiteral(t, m, user, literalHeldBack) }},
	{name: "literal asked for", run: func(t *testing.T, m *moving, user string) { movedWithLiteral(t, m, user, literalAskedFor) }},
	{name: "literal half sent", run: func(t *testing.T, m *moving, user string) { movedWithLiteral(t, m, user, literalHalfSent) }},
	{name: "LITERAL+ half sent", run: func(t *testing.T, m *moving, user string) { movedWithLiteral(t, m, user, literalPlusHalfSent) }},
	{name: "plus first", run: func(t *testing.T, m *moving, user string) { plusFirst(t, m, user) }},
	{name: "plus first, owed", run: func(t *testing.T, m *moving, user string) {
		plusFirst(t, m, user, `STORE 2 FLAGS.SILENT (\Deleted)`, "EXPUNGE")
	}},
	{name: "long fetch", run: movedWhileFetching},
	{name: "qresync", run: movedWithQresync, needs: "modseqs"},
	{name: "condstore", run: movedWithCondstore, needs: "modseqs"},
	{name: "saved search", run: movedWithSavedSearch, needs: "searchres"},
	{name: "news of the source", run: movedWithNews},
}...)

// enter logs in through the node and says commands; one that begins with ! is to be refused.
func (m *moving) enter(t *testing.T, user string, commands ...string) *client {
	t.Helper()
	c := dial(t, m.addr)
	c.within = switchWithin + patience
	c.do("LOGIN " + user + " pass")
	for _, command := range commands {
		if refused, ok := strings.CutPrefix(command, "!"); ok {
			c.refused(refused)
		} else {
			c.do(command)
		}
	}
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// hearAll reads until all commands with these tags are answered with OK, in whatever order.
func (c *client) hearAll(tags ...string) string {
	c.t.Helper()
	var heard strings.Builder
	for left := len(tags); left > 0; {
		line := c.hear("")
		heard.WriteString(line)
		tag, rest, _ := strings.Cut(line, " ")
		if !slices.Contains(tags, tag) {
			continue
		}
		left--
		if !strings.HasPrefix(rest, "OK ") {
			c.t.Errorf("heard %q; want OK", line)
		}
	}
	return heard.String()
}

// refused demands that the command is not obeyed.
func (c *client) refused(command string) string {
	c.t.Helper()
	c.say("r " + command + "\r\n")
	text := c.hear("r ")
	if last := text[strings.LastIndex("\n"+text, "\nr "):]; strings.HasPrefix(last, "r OK") {
		c.t.Errorf("%s: %q; want a refusal", command, text)
	}
	return text
}

// move switches the user, whose open sessions are so many, and waits until they are moved.
func (m *moving) move(t *testing.T, user string, sessions int64) {
	t.Helper()
	m.begin(t, user)
	m.awaitSwitch(t, user)
	m.counted(t, user, sessions)
}

// want demands that text, which was heard, holds each of parts.
func want(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: heard %q; want %q in it", what, text, part)
		}
	}
}

// A client in IDLE through the switch gets what happens at the target a second after it, on the same connection and
// under the same tag.
func movedInIdle(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX")
	c.say("i IDLE\r\n")
	c.hear("+ ")
	m.move(t, user, 1)
	<-time.After(time.Second) // the length is of no account
	m.deliver(t, m.target, user, "INBOX", "after the switch")
	c.hear("* 13 EXISTS")
	other := m.at(t, m.target, user)
	defer other.Close()
	m.do(t, other, "SELECT INBOX")
	m.do(t, other, `STORE 4 FLAGS (\Answered)`)
	m.do(t, other, `STORE 2 FLAGS.SILENT (\Deleted)`)
	m.do(t, other, `EXPUNGE`)
	c.say("DONE\r\n") // servers that have run out of means to watch files look now at the latest
	want(t, "IDLE", c.hear("i OK ")+c.do("NOOP"), "* 4 FETCH ", `\Answered`, "* 2 EXPUNGE")
	want(t, "after IDLE", c.do("FETCH 12 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"), "Subject: after the switch\r\n")
	c.do("LOGOUT")
}

func movedInExamine(t *testing.T, m *moving, user string) {
	before := m.contents(t, m.source, user)
	c := m.enter(t, user, "EXAMINE INBOX")
	m.move(t, user, 1)
	c.say("s STORE 2 +FLAGS (\\Flagged)\r\n") // Dovecot says OK to it, and does nothing
	c.hear("s ")
	want(t, "FETCH", c.do("FETCH 2 (UID BODY[TEXT])"), "This is INBOX 1.", "UID 2")
	c.do("CLOSE")
	if text := differences(before, m.contents(t, m.target, user)); text != "" {
		t.Errorf("changed by a client that only looks:\n%s", text)
	}
	c.do("SELECT INBOX")
	c.do(`STORE 2 +FLAGS (\Flagged)`)
}

func movedUnselected(t *testing.T, m *moving, user string, commands ...string) {
	c := m.enter(t, user, commands...)
	m.move(t, user, 1)
	c.refused("FETCH 1 (UID)")
	want(t, "LIST", c.do(`LIST "" "*"`), "Entw&APw-rfe")
	want(t, "SELECT", c.do("SELECT INBOX"), "* 12 EXISTS")
	want(t, "FETCH", c.do("FETCH 12 (UID)"), "UID 14")
	c.do("LOGOUT")
}

func movedThree(t *testing.T, m *moving, user string) {
	a, b, c := m.enter(t, user, "SELECT INBOX"), m.enter(t, user, "EXAMINE "+m.prefix+"Archive"), m.enter(t, user)
	a.say("i IDLE\r\n")
	a.hear("+ ")
	m.move(t, user, 3)
	m.deliver(t, m.target, user, m.prefix+"Archive", "after the switch")
	want(t, "the second", b.do("NOOP"), "* 5 EXISTS")
	want(t, "the third", c.do("STATUS "+m.prefix+"Archive (MESSAGES)"), "MESSAGES 5")
	c.do("SELECT INBOX")
	c.do(`STORE 3 +FLAGS (Seen-by-third)`)
	want(t, "the first", a.hear("* 3 FETCH"), "Seen-by-third")
	a.say("DONE\r\n")
	a.hear("i OK ")
}

// A long answer neither keeps the switch waiting nor is it cut: the session follows when it is through.
func movedWhileFetching(t *testing.T, m *moving, user string) {
	size := 12 << 20 // more than fits into the buffers on the way
	if _, all := testbed.Soak(t); all {
		size = 30 << 20
	}
	mail := "Subject: long\r\n\r\n" + strings.Repeat(strings.Repeat("0123456789abcdef", 4)+"\r\n", size/66)
	if _, err := testbed.Append(m.ctx, m.source.IMAP(), user, "pass", m.prefix+"Archive", testbed.Mail{Body: mail}); err != nil {
		t.Fatal(err)
	}
	c := m.enter(t, user, "SELECT "+m.prefix+"Archive")
	c.say("f FETCH 5 (BODY.PEEK[])\r\n")
	c.hear("* 5 FETCH (BODY[] {")
	m.begin(t, user)
	m.awaitHold(t, user)
	m.awaitSwitch(t, user)
	got := make([]byte, len(mail))
	if _, err := io.ReadFull(c.in, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != mail {
		t.Error("the message is not what it was")
	}
	if rest := c.hear("f OK "); !strings.HasPrefix(rest, ")\r\n") {
		t.Errorf("after the message: %q", rest)
	}
	m.counted(t, user, 1)
	want(t, "STORE", c.do(`STORE 5 +FLAGS (\Answered)`), `\Answered`)
	want(t, "in the target", strings.Join(m.contents(t, m.target, user), "\n"), `Archive uid 5 (\Answered)`)
}

// What others have changed in the source just before the switch the client is told as if it had stayed there.
func movedWithNews(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX")
	other := m.at(t, m.source, user)
	defer other.Close()
	m.do(t, other, "SELECT INBOX")
	m.do(t, other, "APPEND INBOX () ", testbed.Literal(letter("news")))
	m.do(t, other, `STORE 2 +FLAGS ($News)`)
	m.move(t, user, 1)
	heard := c.do("NOOP")
	want(t, "NOOP", heard, "* 13 EXISTS\r\n", "* 2 FETCH (", "$News")
	want(t, "FETCH", c.do("FETCH 13 (UID)"), "UID 16")
}

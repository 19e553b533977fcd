package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"imapferry/state"
)

// owedCases are clients that have not been told yet, when they are moved, which messages another session has expunged at
// the source. They are told when the protocol allows it (RFC 9051, 7.5.1), and until then no number means another
// message than the client thinks.
var owedCases = []moveCase{
	{name: "owed NOOP", run: owedTold("NOOP")},
	{name: "owed CHECK", run: owedTold("CHECK")},
	{name: "owed UID FETCH", run: owedTold("UID FETCH 1:* (UID FLAGS)")},
	{name: "owed UID STORE", run: owedTold(`UID STORE 8 +FLAGS ($Hit)`)},
	{name: "owed UID SEARCH", run: owedTold("UID SEARCH ALL")},
	{name: "owed APPEND", run: owedTold("APPEND INBOX {16+}\r\nSubject: new\r\n\r\n")},
	{name: "owed IDLE", run: owedIdle},
	{name: "owed in IDLE", run: owedInIdle},
	{name: "owed SELECT", run: owedSelect},
	{name: "owed FETCH", run: owedNumbers("FETCH 5:7 (UID)", `* 5 FETCH (UID 6)`, `* 7 FETCH (UID 8)`)},
	{name: "owed STORE", run: owedNumbers(`STORE 7 +FLAGS ($Hit)`, "* 7 FETCH (", "$Hit")},
	{name: "owed STORE silent", run: owedNumbers(`STORE 7 +FLAGS.SILENT ($Hit)`)},
	{name: "owed COPY", run: owedNumbers("COPY 7 Archive", "[COPYUID "), needs: "names"},
	{name: "owed MOVE", run: owedNumbers("MOVE 7 Archive", "[COPYUID "), needs: "names"},
	{name: "owed SEARCH", run: owedEnd("SEARCH ALL")},
	{name: "owed UID SEARCH by number", run: owedEnd("UID SEARCH 7")},
	{name: "owed QRESYNC", run: owedQresync, needs: "modseqs"},
}

// The INBOX before and after another session has expunged two messages, by UID; the client's seventh message is 8.
var (
	owedBefore = view{1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14}
	owedAfter  = view{1, 3, 4, 6, 8, 9, 11, 12, 13, 14}
)

// owed returns a session that is moved with two expunges owed.
func owed(t *testing.T, m *moving, user string, commands ...string) *client {
	t.Helper()
	c := m.enter(t, user, append(commands, "SELECT INBOX")...)
	m.expunge(t, user)
	m.begin(t, user)
	m.awaitSwitch(t, user)
	return c
}

func (m *moving) expunge(t *testing.T, user string) {
	t.Helper()
	other := m.at(t, m.source, user)
	defer other.Close()
	m.do(t, other, "SELECT INBOX")
	m.do(t, other, `UID STORE 2,7 +FLAGS.SILENT (\Deleted)`)
	m.do(t, other, "EXPUNGE")
}

// owedTold is a command in which expunges may be told, and after which they are.
func owedTold(command string) func(t *testing.T, m *moving, user string) {
	return func(t *testing.T, m *moving, user string) {
		c, v := owed(t, m, user), slices.Clone(owedBefore)
		heard := c.do(command)
		if err := v.follow(heard); err != nil {
			t.Errorf("%s: %v in %q", command, err, heard)
		}
		if strings.HasPrefix(command, "APPEND") && slices.Index(v, 0) == len(v)-1 {
			v = v[:len(v)-1]
		}
		if !slices.Equal(v, owedAfter) {
			t.Errorf("%s: heard %q, so the client sees %v; want %v", command, heard, v, owedAfter)
		}
		m.counted(t, user, 1)
		heard = c.do("FETCH 1:10 (UID)")
		if err := v.follow(heard); err != nil || strings.Count(heard, "FETCH (") != 10 {
			t.Errorf("%v in %q", err, heard)
		}
	}
}

func owedIdle(t *testing.T, m *moving, user string) {
	c := owed(t, m, user)
	c.say("i IDLE\r\n")
	heard := c.hearAfter("EXPUNGE", 2)
	c.say("DONE\r\n")
	toldAll(t, heard+c.hear("i OK "))
	m.counted(t, user, 1)
}

func owedInIdle(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX")
	c.say("i IDLE\r\n")
	c.hear("+ ")
	m.expunge(t, user)
	m.move(t, user, 1)
	heard := c.hearAfter("EXPUNGE", 2)
	c.say("DONE\r\n")
	toldAll(t, heard+c.hear("i OK "))
}

// hearAfter reads until word has been heard so many times.
func (c *client) hearAfter(word string, times int) (heard string) {
	c.t.Helper()
	for strings.Count(heard, word) < times {
		heard += c.hear("")
	}
	return heard
}

func toldAll(t *testing.T, heard string) {
	t.Helper()
	v := slices.Clone(owedBefore)
	if err := v.follow(heard); err != nil || !slices.Equal(v, owedAfter) {
		t.Errorf("heard %q, so the client sees %v, %v; want %v", heard, v, err, owedAfter)
	}
}

// Who leaves the folder is owed nothing any more.
func owedSelect(t *testing.T, m *moving, user string) {
	c := owed(t, m, user)
	heard := c.do("SELECT INBOX")
	want(t, "SELECT", heard, "* 10 EXISTS")
	m.counted(t, user, 1)
	c.do("NOOP")
	v := slices.Clone(owedAfter)
	if err := v.follow(c.do("FETCH 1:* (UID)")); err != nil {
		t.Error(err)
	}
}

// owedNumbers is a command in which expunges must not be told, and which uses numbers: they mean the client's messages.
func owedNumbers(command string, parts ...string) func(t *testing.T, m *moving, user string) {
	return func(t *testing.T, m *moving, user string) {
		c, v := owed(t, m, user), slices.Clone(owedBefore)
		before := m.contents(t, m.target, user)
		heard := c.do(command)
		want(t, command, heard, parts...)
		heard += c.do("NOOP") + c.do("UID FETCH 1:* (UID)")
		m.counted(t, user, 1)
		left := slices.Clone(owedAfter)
		if strings.HasPrefix(command, "MOVE") {
			left = slices.DeleteFunc(left, func(uid uint32) bool { return uid == 8 })
		}
		if err := v.follow(heard); err != nil || !slices.Equal(v, left) {
			t.Errorf("%s: heard %q, so the client sees %v, %v; want %v", command, heard, v, err, left)
		}
		after := m.contents(t, m.target, user)
		if strings.HasPrefix(command, "FETCH") {
			if text := differences(before, after); text != "" {
				t.Errorf("%s has changed\n%s", command, text)
			}
			return
		}
		m.onlySeventh(t, command, before, after)
	}
}

// onlySeventh demands that a command has hit the client's seventh message, and no other: it has a new keyword, or is in
// Archive.
func (m *moving) onlySeventh(t *testing.T, command string, before, after []string) {
	t.Helper()
	sum := ""
	for _, line := range before {
		if strings.HasPrefix(line, "INBOX uid 8 ") {
			sum = line[strings.LastIndex(line, " ")+1:]
		}
	}
	for line := range strings.Lines(differences(before, after)) {
		if strings.Contains(line, " uid ") && !strings.HasSuffix(line, " "+sum+"\n") {
			t.Errorf("%s: %s; want uid 8 alone to be hit", command, line)
		}
	}
	if !strings.Contains(differences(before, after), sum) {
		t.Errorf("%s has hit nothing", command)
	}
}

// owedEnd is a command whose numbers cannot be made right: the session ends before it does anything.
func owedEnd(command string) func(t *testing.T, m *moving, user string) {
	return func(t *testing.T, m *moving, user string) {
		c := owed(t, m, user)
		if m.opt.still {
			c.do(command)
			return
		}
		before := m.contents(t, m.target, user)
		c.say("n " + command + "\r\n")
		heard := c.hear("* BYE [UNAVAILABLE]")
		if strings.Contains(heard, "SEARCH") {
			t.Errorf("%s: heard %q before the end", command, heard)
		}
		if text := differences(before, m.contents(t, m.target, user)); text != "" {
			t.Errorf("%s: %q, and yet\n%s", command, heard, text)
		}
		m.awaitRecord(t, user, "counted", func(r state.Record) bool { return r.Disconnected == 1 && r.Moved == 0 })
	}
}

func owedQresync(t *testing.T, m *moving, user string) {
	c := owed(t, m, user, "ENABLE QRESYNC")
	heard := c.do("NOOP")
	want(t, "NOOP", heard, "* VANISHED 2,7\r\n")
	v := slices.Clone(owedAfter)
	if err := v.follow(c.do("FETCH 1:* (UID)")); err != nil {
		t.Error(err)
	}
}

// view is what a client knows of the open folder: UIDs by number, 0 where it has not been told.
type view []uint32

var numbered = regexp.MustCompile(`^\* (\d+) (EXPUNGE|EXISTS|FETCH)\b(?:.*\bUID (\d+))?`)

// follow takes in what a server has said, which holds no literals.
func (v *view) follow(heard string) error {
	for line := range strings.Lines(heard) {
		m := numbered.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		switch {
		case m[2] == "EXISTS" && n >= len(*v):
			*v = append(*v, make(view, n-len(*v))...)
		case n < 1 || n > len(*v):
			return fmt.Errorf("%q while the client knows %d messages", line, len(*v))
		case m[2] == "EXISTS":
			return fmt.Errorf("%q while the client knows %d messages", line, len(*v))
		case m[2] == "EXPUNGE":
			*v = slices.Delete(*v, n-1, n)
		case m[3] != "":
			uid, err := strconv.ParseUint(m[3], 10, 32)
			if err != nil {
				return err
			}
			if known := (*v)[n-1]; known != 0 && known != uint32(uid) {
				return fmt.Errorf("%q is a wrong message: %d is uid %d to the client", line, n, known)
			}
			(*v)[n-1] = uint32(uid)
		}
	}
	return nil
}

package main

import (
	"strings"
	"testing"
)

func movedWithQresync(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "ENABLE QRESYNC")
	selected := c.do("SELECT INBOX")
	_, modseq, _ := strings.Cut(selected, "[HIGHESTMODSEQ ")
	modseq, _, _ = strings.Cut(modseq, "]")
	m.move(t, user, 1)
	other := m.at(t, m.target, user)
	defer other.Close()
	m.do(t, other, "SELECT INBOX")
	m.do(t, other, `UID STORE 3 FLAGS.SILENT ($Later)`)
	m.do(t, other, `UID STORE 2,7 FLAGS.SILENT (\Deleted)`)
	m.do(t, other, `EXPUNGE`)
	heard := c.do("NOOP")
	want(t, "NOOP", heard, "VANISHED 2,7\r\n", "UID 3 ", "MODSEQ (", "$Later")
	if strings.Contains(heard, "EXPUNGE") {
		t.Errorf("heard %q; want VANISHED alone", heard)
	}
	want(t, "resync", c.do("UID FETCH 1:* (FLAGS) (CHANGEDSINCE "+modseq+" VANISHED)"), "VANISHED (EARLIER) 2,", "UID 3 ", "MODSEQ (")
}

// CONDSTORE is on although nobody has said ENABLE (RFC 7162, 3.1).
func movedWithCondstore(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX (CONDSTORE)")
	m.move(t, user, 1)
	other := m.at(t, m.target, user)
	defer other.Close()
	m.do(t, other, "SELECT INBOX")
	m.do(t, other, `UID STORE 3 FLAGS.SILENT ($Later)`)
	want(t, "NOOP", c.do("NOOP"), "* 3 FETCH (", "MODSEQ (", "$Later")
	want(t, "STORE", c.do(`STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\Flagged)`), "[MODIFIED 1]")
}

func movedWithSavedSearch(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX", "SEARCH RETURN (SAVE) FLAGGED")
	found := c.do("UID FETCH $ (UID)")
	m.move(t, user, 1)
	if after := c.do("UID FETCH $ (UID)"); strings.Count(found, "* ") != 3 || fetched(after) != fetched(found) {
		t.Errorf("$ was %q; now it is %q", found, after)
	}
	want(t, "STORE", c.do("STORE $ +FLAGS.SILENT ($Found)")+c.do("SEARCH KEYWORD $Found"), "* SEARCH 3 7 11\r\n")
}

// fetched are the lines of FETCH responses.
func fetched(heard string) (lines string) {
	for line := range strings.Lines(heard) {
		if strings.Contains(line, " FETCH (") {
			lines += line
		}
	}
	return lines
}

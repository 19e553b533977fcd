package main

import (
	"testing"

	"imapferry/state"
)

// A cutover that is called off leaves every session at work on the source, and the next one moves them (I5).
func TestCalledOffThenMoved(t *testing.T) {
	m := newMoving(t, movingOptions{budget: "2s"})
	m.try(t, func(t *testing.T, m *moving, user string) {
		a, b := m.enter(t, user, "SELECT INBOX"), m.enter(t, user, "SELECT INBOX")
		b.say("i IDLE\r\n")
		b.hear("+ ")
		kept := m.heldAt(t, user, a, "k STORE 1 +FLAGS (\\Flagged)\r\n") // for longer than the budget
		m.awaitRecord(t, user, "called off", func(r state.Record) bool { return r.Attempts > 0 && r.Phase == state.Tailing })
		kept.Pass()
		a.hear("k OK ")
		m.deliver(t, m.source, user, "INBOX", "meanwhile")
		b.hear("* 13 EXISTS")
		want(t, "NOOP", a.do("NOOP"), "* 13 EXISTS")
		want(t, "STORE", a.do(`STORE 13 +FLAGS (\Answered)`), `\Answered`)

		m.awaitSwitch(t, user)
		m.counted(t, user, 2)
		want(t, "FETCH", a.do("FETCH 1:* (UID FLAGS)"), `* 1 FETCH (UID 1 FLAGS (\Flagged \Seen`, `* 13 FETCH (UID 16 FLAGS (\Answered`)
		a.do("APPEND INBOX {16+}\r\nSubject: two\r\n\r\n")
		b.hear("* 14 EXISTS")
		b.say("DONE\r\n")
		b.hear("i OK ")
	})
}

package main

import (
	"testing"
	"time"

	"imapferry/state"
)

// Sessions that have said nothing for so long that the node keeps no goroutine for them go on all the same.
func movedDozing(t *testing.T, m *moving, user string) {
	a, b, c := m.enter(t, user, "SELECT INBOX"), m.enter(t, user, "EXAMINE "+m.prefix+"Archive"), m.enter(t, user)
	a.say("i IDLE\r\n")
	a.hear("+ ")
	<-time.After(4 * time.Second) // they doze off after two; if they have not, this is a test as good as others
	m.move(t, user, 3)
	m.deliver(t, m.target, user, "INBOX", "after the switch")
	a.hear("* 13 EXISTS")
	a.say("DONE\r\n")
	a.hear("i OK ")
	want(t, "the second", b.do("FETCH 4 (UID)"), "* 4 FETCH (UID 4)")
	want(t, "the third", c.do("STATUS INBOX (MESSAGES)"), "(MESSAGES 13)")
}

// Half a line is no command: it goes to the target with the other half.
func movedInHalfALine(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX")
	c.say("h FETCH 12 (U")
	m.move(t, user, 1)
	c.say("ID)\r\n")
	want(t, "FETCH", c.hear("h OK "), "* 12 FETCH (UID 14)")
}

// A client that logs out while it is held hears its goodbye, wherever from.
func leavingWhileHeld(t *testing.T, m *moving, user string) {
	c := m.enter(t, user, "SELECT INBOX")
	kept := m.held(t, user, c)
	c.say("l LOGOUT\r\n")
	kept.Pass()
	c.hear("k OK ")
	want(t, "LOGOUT", c.hear("l OK "), "* BYE ")
	m.awaitSwitch(t, user)
	m.noneEnded(t, user)
}

// A client that closes its connection while it is held keeps nobody waiting.
func goneWhileHeld(t *testing.T, m *moving, user string) {
	c, other := m.enter(t, user, "SELECT INBOX"), m.enter(t, user, "SELECT INBOX")
	kept := m.held(t, user, c)
	c.Close()
	kept.Pass()
	m.awaitSwitch(t, user)
	want(t, "the other session", other.do("FETCH 12 (UID)"), "* 12 FETCH (UID 14)")
	m.noneEnded(t, user)
}

// noneEnded demands that no session of the user was ended because of the switch.
func (m *moving) noneEnded(t *testing.T, user string) {
	t.Helper()
	if m.opt.still {
		return
	}
	if rec := m.awaitRecord(t, user, "known", func(state.Record) bool { return true }); rec.Disconnected > 0 {
		t.Errorf("%d sessions disconnected\n%s", rec.Disconnected, m.log.about(user))
	}
}

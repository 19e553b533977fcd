package main

import (
	"context"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// Mail clients are moved at every command of a run: none sees an error or connects again, none does anything else than
// in a run without a switch, and what they leave in the target is what that run left in the source (I1, I2, I3).
func TestMovedAtEveryCommand(t *testing.T) {
	kinds := []struct {
		name string
		opt  movingOptions
		some int // positions without a soak
	}{{"exact", movingOptions{manual: true}, 3}, {"translated", movingOptions{plain: true}, 1}}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			m := newMoving(t, kind.opt)
			for _, c := range movers() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					testbed.Need(t, c.needs...)
					m.everyCommand(t, c, kind.some)
				})
			}
		})
	}
}

// everyCommand moves a client at the login, at the first command, and so on.
func (m *moving) everyCommand(t *testing.T, c mover, some int) {
	base := m.run(t, c, never)
	m.compare(t, base, m.run(t, c, never), never) // or the comparison is worth nothing
	moved := 0
	for _, n := range testbed.Sample(t, len(base.commands)+1, some) {
		r := m.run(t, c, n-1)
		m.compare(t, base, r, n-1)
		if r.reached {
			moved++
		}
	}
	t.Logf("moved at %d positions of a run of %d commands: %v", moved, len(base.commands), base.commands)
}

// never is the position of a run without a switch.
const never = -1

// moveRun is what is left of a run.
type moveRun struct {
	user     string
	seen     []string // by the client
	conns    int64
	commands []string // at the source
	reached  bool     // the user was switched
	contents []string
}

// run runs a client with a new account, and switches the user at the n-th command.
func (m *moving) run(t testing.TB, c mover, n int) moveRun {
	t.Helper()
	user, dir := m.user(), m.dir(t)
	m.stock(t, user)
	if c.ready != nil {
		c.ready(t, m, user, dir)
	}
	m.ready(t, user)
	front, err := testbed.Forward(m.addr, testbed.ForwardOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	ctx, cancel := context.WithTimeout(m.ctx, 3*switchWithin) // the copy, the hold and the client's own run
	defer cancel()
	kept, wait := m.switchAt(t, user, n)
	r := moveRun{user: user}
	r.seen, err = c.run(ctx, m, front.Addr(), user, dir)
	r.seen = withoutHints(r.seen)
	r.reached = wait()
	if err != nil {
		t.Errorf("position %d: %v\n%s", n, err, m.log.about(user))
	}
	r.conns, r.commands = front.Stats().Conns, kept.Commands()
	at := m.source
	if r.reached {
		at = m.target
	}
	r.contents = m.contents(t, at, user)
	if c.after == nil {
		return r
	}
	ctx, cancel = context.WithTimeout(m.ctx, switchWithin)
	defer cancel()
	if err := c.after(ctx, m, user, dir); err != nil {
		t.Errorf("position %d, another run: %v", n, err)
	}
	if text := differences(r.contents, m.contents(t, at, user)); text != "" {
		t.Errorf("position %d: another run changes on the server:\n%s", n, text)
	}
	return r
}

// compare compares a run in which the user was switched at the n-th command with one without a switch. The number of
// commands may vary with the timing of a client's threads, so the run may have had fewer.
func (m *moving) compare(t *testing.T, base, r moveRun, n int) {
	t.Helper()
	at := "the end"
	switch {
	case n == 0:
		at = "the login"
	case r.reached:
		at = r.commands[n-1]
	case n != never && n <= len(r.commands):
		t.Errorf("position %d was not reached by a run of %d commands", n, len(r.commands))
	}
	if text := differences(base.seen, r.seen); text != "" {
		t.Errorf("position %d, %s: the client saw\n%s\n%s", n, at, text, m.log.about(r.user))
	}
	if r.conns != base.conns {
		t.Errorf("position %d, %s: the client connected %d times; want %d", n, at, r.conns, base.conns)
	}
	if text := differences(base.contents, r.contents); text != "" {
		t.Errorf("position %d, %s: on the server, unlike a run without a switch:\n%s", n, at, text)
	}
	if r.reached {
		m.undisturbed(t, r.user, n > 0 && at != "LOGOUT")
	}
}

// undisturbed demands that no session of the user was ended because of the switch, and, with some, that one was moved.
func (m *moving) undisturbed(t testing.TB, user string, some bool) {
	t.Helper()
	rec := m.awaitRecord(t, user, "counted", func(r state.Record) bool { return !some || r.Moved+r.Disconnected > 0 })
	if rec.Disconnected > 0 {
		t.Errorf("%d sessions moved, %d disconnected\n%s", rec.Moved, rec.Disconnected, m.log.about(user))
	}
}

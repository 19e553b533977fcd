package migrate

import (
	"strings"
	"testing"
	"time"

	"imapferry/state"
)

// TestTooSlow: who cannot be cut over within the budget is told a budget that lets the next look pass, or that none does (I10).
func TestTooSlow(t *testing.T) {
	tests := []struct {
		look time.Duration
		want string
	}{
		{1600 * time.Millisecond, "takes 1.6s, over half of hold_budget (3s): raise migrate.hold_budget to 5s, then retry"},
		{19 * time.Second, "raise migrate.hold_budget to 58s, then retry"},
		{20 * time.Second, "takes 20s, too long for sessions to be held (migrate.hold_budget is at most 1m0s)"},
	}
	for _, tt := range tests {
		if reason := tooSlow(tt.look, 3*time.Second); !strings.Contains(reason, tt.want) {
			t.Errorf("tooSlow(%s) = %s; want %s", tt.look, reason, tt.want)
		}
	}
}

// TestLetInLater: a target that lets nobody in for a while, as when the password of its master user was changed, does not hold one user after
// the other: each would need an operator. One that stays so does.
func TestLetInLater(t *testing.T) {
	for _, passes := range []bool{true, false} {
		s := one(newStage(t, batchCaps))
		s.src.deliver("INBOX", 1)
		s.dst.hook = func(verb, _ string) (string, bool) {
			return "%t NO [AUTHENTICATIONFAILED] no such master\r\n", verb == "LOGIN" || verb == "AUTHENTICATE"
		}
		s.start()
		if passes {
			s.failing("does not let the user in")
			s.dst.do(func() { s.dst.hook = nil })
			s.migrated()
			continue
		}
		if r := s.await("held", func(r state.Record) bool { return r.Phase == state.Held }); r.Attempts < lastingTries {
			t.Errorf("held after %d tries: %s", r.Attempts, r.Reason)
		}
	}
}

// TestHeldForLastingAlone: after some cutovers that were called off, as for a node that had died, a single slow look at the folders held the
// user.
func TestHeldForLastingAlone(t *testing.T) {
	slow := tooSlow(1600*time.Millisecond, 3*time.Second)
	for _, tt := range []struct {
		before   string
		attempts int
		held     bool
	}{
		{"cutover called off: the hold budget is used up: still waiting for node silent to hold its sessions", lastingTries + 1, false},
		{tooSlow(2*time.Second, 3*time.Second), lastingTries - 1, false},
		{tooSlow(2*time.Second, 3*time.Second), lastingTries, true},
	} {
		w := &worker{rec: state.Record{Attempts: tt.attempts, Reason: tt.before}}
		if _, held := permanent(w.unlessItPasses(slow)); held != tt.held {
			t.Errorf("after %d tries, the last of which ended by %q: held %v", tt.attempts, tt.before, held)
		}
	}
}

// TestBegunTranslated: an operator gives the target an adapter that sets UIDVALIDITY while a user is being copied without one. The folders
// that are proven have UIDVALIDITYs of their own, which only the relay makes the source's: clients would load everything again (I2).
func TestBegunTranslated(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.caps = "CONDSTORE ENABLE QRESYNC"
	s.src.deliver("INBOX", 1, 2)
	s.src.deliver("Work", 1)
	s.halfway()
	s.adapter = exact{f: s.dst}
	s.start()
	s.migrated()
	if r := s.await("migrated", func(r state.Record) bool { return r.Phase == state.Migrated }); r.Fidelity != state.Translated {
		t.Errorf("the fidelity is %s, but the target is\n%s", r.Fidelity, s.dst.text(true))
	}
}

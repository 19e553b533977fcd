package migrate

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// secretsOf tells how many of the user's secrets the engine keeps.
func (e *Engine) secretsOf(user string) int { return len(e.secretsAtHand(user)) }

// idle waits until the engine has nothing to look at.
func (s *stage) idle() {
	s.t.Helper()
	s.await("left alone", func(state.Record) bool {
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		return len(s.engine.users) == 0
	})
}

// TestLoginsOfMigrated: a login of a migrated user costs the store a look after a start, and then nothing until the
// next pass is due.
func TestLoginsOfMigrated(t *testing.T) {
	s := small(newStage(t, batchCaps))
	f := &faulty{s: s.store}
	s.wrap = func(*boltstate.Store) Store { return f }
	s.start()
	s.migrated()
	s.pass()
	before := s.await("free", func(r state.Record) bool { return r.Owner == "" })
	s.idle()
	for _, restarted := range []bool{false, true} {
		calls := f.calls.Load()
		if restarted {
			s.start() // offers once
			s.idle()
		}
		for range 100 {
			s.engine.Offer("alice", "pass")
			s.engine.Offer("alice", "another")
		}
		s.idle()
		if got := f.calls.Load() - calls; got > 1 || !restarted && got > 0 || s.engine.secretsOf("alice") != 2 {
			t.Errorf("restarted %v: %d calls, %d secrets", restarted, got, s.engine.secretsOf("alice"))
		}
	}
	if after := s.await("the same", func(state.Record) bool { return true }); !reflect.DeepEqual(after, before) {
		t.Errorf("%+v became %+v", before, after)
	}
}

// TestSecretsForgotten: a migrated user's secrets are kept for passes and for Verify, and no longer than until the user
// is finalized or the grace period is over (I8).
func TestSecretsForgotten(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.start()
	s.migrated()
	s.pass()
	if s.engine.secretsOf("alice") != 1 {
		t.Error("the secret is not kept")
	}
	if sum, err := s.engine.Verify(s.ctx, "alice", VerifyOptions{}, func(Difference) {}); err != nil || sum.Differences > 0 {
		t.Errorf("verify with the kept secret: %+v, %v", sum, err)
	}
	s.await("free", func(r state.Record) bool { return r.Owner == "" })
	l, _, err := s.store.Acquire(s.ctx, "alice", "operator", time.Minute)
	if err == nil {
		_, err = s.store.Advance(s.ctx, l, state.Finalized, state.Change{})
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.engine.Wake("alice")
		s.idle()
		if s.engine.secretsOf("alice") != 0 {
			t.Error("the secret of a finalized user is kept")
		}
		s.engine.Offer("alice", "pass")
	}
}

// TestNoGrace: without a grace period there is one pass at once after the switch, and nothing after it.
func TestNoGrace(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.settings.Stragglers = 0
	s.start()
	s.migrated()
	rec := s.await("passed", func(r state.Record) bool { return !r.LastPass.IsZero() && r.Owner == "" })
	s.idle()
	if !rec.NextTry.IsZero() || s.engine.secretsOf("alice") != 0 {
		t.Errorf("%+v, %d secrets", rec, s.engine.secretsOf("alice"))
	}
	s.engine.Offer("alice", "pass")
	s.idle()
	if again := s.await("left", func(r state.Record) bool { return r.Owner == "" }); !reflect.DeepEqual(again, rec) || s.engine.secretsOf("alice") != 0 {
		t.Errorf("a login made %+v of %+v, %d secrets", again, rec, s.engine.secretsOf("alice"))
	}
}

// TestPasswordChangedAfterSwitch: a password that does not open the source any more waits for the next login and is not
// tried over and over. One that does brings over what has come meanwhile.
func TestPasswordChangedAfterSwitch(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.start()
	s.migrated()
	s.pass()
	s.mixed()
	s.src.do(func() { s.src.pass = map[string]bool{"new": true} })
	s.dst.do(func() { s.dst.pass["new"] = true })
	s.await("free", func(r state.Record) bool { return r.Owner == "" })
	s.retry()
	rec := s.await("waiting", func(r state.Record) bool { return strings.Contains(r.Reason, "next login") && r.Owner == "" })
	s.idle()
	if rec.Phase != state.Migrated || s.engine.secretsOf("alice") != 0 {
		t.Errorf("%+v, %d secrets", rec, s.engine.secretsOf("alice"))
	}
	s.engine.Offer("alice", "new")
	s.await("passed", func(r state.Record) bool { return r.Stragglers == 7 && r.Reason == "" })
	s.once("delivered to the target")
}

func TestSpacing(t *testing.T) {
	e := &Engine{cfg: Config{Settings: DefaultSettings()}}
	for ago, want := range map[time.Duration]time.Duration{
		0: time.Minute, -time.Second: time.Minute, 7 * time.Minute: 7 * time.Minute, 5 * time.Hour: time.Hour,
		720*time.Hour - time.Minute: time.Minute,
	} {
		if got, never := e.spacing(ago); got != want || never {
			t.Errorf("spacing(%s) = %s, %v, want %s", ago, got, never, want)
		}
	}
	if _, never := e.spacing(720 * time.Hour); !never {
		t.Error("passes go on after the grace period")
	}
}

// TestStopPassAnywhere ends the engine at random moments of passes and starts another one on the same store, while
// deliveries into the source go on: each is in the target once (I1).
func TestStopPassAnywhere(t *testing.T) {
	eachFidelity(t, "mdbox", func(t *testing.T, x *crossing) {
		x.start()
		x.engine.Offer("alice", "pass")
		x.awaitPhase("alice", state.Migrated)
		x.pass()
		r := rand.New(rand.NewPCG(7, 8))
		for i := range 40 {
			if _, err := testbed.Append(x.ctx, x.src.IMAP(), "alice", "pass", []string{"INBOX", "Archive"}[i%2], lateMail(i, i%3 > 0)); err != nil {
				t.Fatal(err)
			}
			if i%5 > 0 {
				continue
			}
			if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
				t.Fatal(err)
			}
			x.engine.Wake("alice")
			time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond) // any moment will do
			x.stop()
			x.start()
		}
		rec := x.pass()
		src, dst := x.where(x.src.IMAP()), x.where(x.dst.IMAP())
		for sum, folders := range src {
			if len(folders) != len(dst[sum]) {
				t.Errorf("a message of the source's %q is in the target's %q", folders, dst[sum])
			}
		}
		if rec.Stragglers != 40 || len(src) != len(dst) {
			t.Errorf("source %d, target %d: %+v", len(src), len(dst), rec)
		}
	})
}

// TestRepaired: of a user whose switch the store had lost nobody knows what was brought over, so what alice deletes at the target is
// not taken for late mail at her next login. When the operator says so, the source is looked through.
func TestRepaired(t *testing.T) {
	s := small(newStage(t, batchCaps))
	if _, err := s.store.Repair(s.ctx, state.Record{User: "alice", Fidelity: state.Exact, Attempt: "lost", Migrated: time.Now()}, nil); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.idle()
	if got := s.dst.bodies(); len(got) > 0 {
		t.Errorf("brought over %v", got)
	}
	s.retry()
	s.engine.Offer("alice", "pass")
	rec := s.await("passed", func(r state.Record) bool { return r.Owner == "" && !r.LastPass.IsZero() })
	if got := s.dst.bodies(); len(got) != 4 || rec.Reason != "" {
		t.Errorf("brought over %v; the record is %+v", got, rec)
	}
}

package proxy

import (
	"path/filepath"
	"testing"

	"imapferry/state"
	"imapferry/state/journal"
)

func withJournal(t *testing.T, b *bed) *journal.Journal {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	b.cfg.Journal = j
	return j
}

const loginAtTarget = `S~ \* OK .*
C: a LOGIN alice secret
D: * OK [CAPABILITY IMAP4rev1] target ready
Q: f1 LOGIN "alice" "secret"
D: f1 OK [CAPABILITY IMAP4rev1 IDLE] welcome
S~ a OK .*`

// I3, I7: a node serves at the target whom it has sent there once, also while the store is out of reach, or has come back older.
func TestServedFromJournal(t *testing.T) {
	for name, spoil := range map[string]func(*fakeStore){
		"out of reach": func(s *fakeStore) { s.fail(true) },
		"older":        func(s *fakeStore) { s.put(state.Record{User: "alice", Phase: state.Tailing}) },
		"emptied":      func(s *fakeStore) { s.do(func() { delete(s.records, "alice") }) },
		"in cutover":   func(s *fakeStore) { s.begin("alice", "t2", longBudget) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			j := withJournal(t, b)
			b.store.put(state.Record{User: "alice", Phase: state.Migrated, Attempt: "t1", Fidelity: state.Exact})
			steps(t, b, loginAtTarget)
			if s, ok, err := j.Find("alice"); !ok || err != nil || s.Attempt != "t1" {
				t.Fatalf("noted %+v, %v (%v)", s, ok, err)
			}
			spoil(b.store)
			if k, err := b.srv.node.look(t.Context(), "alice"); err != nil || !k.Phase.OnTarget() || !k.own {
				t.Errorf("the user is %+v (%v)", k, err)
			}
			rt, err := (&session{srv: b.srv}).route(t.Context(), b.srv.node.users.enter("alice"), "alice")
			if err != nil || rt.onSource {
				t.Errorf("routed to %+v (%v)", rt, err)
			}
			b.store.do(func() {
				if rec := b.store.records["alice"]; !rec.Phase.OnTarget() {
					t.Errorf("the store was not repaired: %+v", rec)
				}
			})
		})
	}
}

// What clients of a translated user are shown does not depend on the store either.
func TestViewFromJournal(t *testing.T) {
	b := newBed(t)
	withJournal(t, b)
	rec := state.Record{User: "alice", Phase: state.Migrated, Attempt: "t1", Fidelity: state.Translated}
	b.store.put(rec)
	b.store.do(func() {
		b.store.folders = map[string][]state.Folder{"alice": {{Name: "INBOX", UIDValidity: 7, TargetUIDValidity: 8}}}
	})
	steps(t, b, loginAtTarget)
	b.store.fail(true)
	rt, err := (&session{srv: b.srv}).route(t.Context(), b.srv.node.users.enter("alice"), "alice")
	if err != nil || rt.onSource || rt.views["INBOX"].UIDValidity != 7 {
		t.Errorf("routed to %+v (%v)", rt, err)
	}
}

// A switch that cannot be noted is acted on by nobody (MOVE_BEFORE_JOURNAL in state/model): neither a login nor a session that was held.
func TestNotNoted(t *testing.T) {
	t.Run("login", func(t *testing.T) {
		b := newBed(t)
		j := withJournal(t, b)
		b.store.put(state.Record{User: "alice", Phase: state.Migrated})
		steps(t, b, `S~ \* OK .*`)
		j.Close()
		steps(t, b, `C: a LOGIN alice secret
S~ a NO \[UNAVAILABLE\].*`)
	})
	t.Run("move", func(t *testing.T) {
		b := newBed(t)
		j := withJournal(t, b)
		logIn(t, b)
		b.store.begin("alice", "t1", longBudget)
		must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
		j.Close()
		b.store.finish("alice", state.Migrated)
		steps(t, b, `S~ \* BYE .*`)
		must(t, "counted", func() bool { return b.store.ended("alice", "store") == 1 })
	})
}

// The source is for users of whom neither store nor journal tells a switch, and for nobody while the store cannot be asked.
func TestNotInJournal(t *testing.T) {
	b := newBed(t)
	withJournal(t, b)
	logIn(t, b)
	b.store.fail(true)
	if rt, err := (&session{srv: b.srv}).route(t.Context(), b.srv.node.users.enter("bob"), "bob"); err == nil {
		t.Errorf("routed to %+v", rt)
	}
}

// Who may have been switched is not sent to the source (I3, I7), whatever the store says: it may be older.
func TestJournalUnreadable(t *testing.T) {
	b := newBed(t)
	j := withJournal(t, b)
	logIn(t, b)
	j.Close()
	b.store.put(state.Record{User: "alice", Phase: state.Tailing})
	if rt, err := (&session{srv: b.srv}).route(t.Context(), b.srv.node.users.enter("alice"), "alice"); err == nil {
		t.Errorf("routed to %+v", rt)
	}
}

package proxy

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/state"
	"imapferry/state/journal"
)

func (s *fakeStore) marked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.marks)
}

// I3, I7: the store comes back older. A user whose switch another node alone knows is not sent to the source by what the record says, and
// is served by the target once that node has posted (the model's NO_REPAIR and BY_SEQUENCE).
func TestUntrusted(t *testing.T) {
	b := newBed(t)
	withJournal(t, b)
	logIn(t, b)
	b.store.restart("r2", map[string]state.Record{"bob": {User: "bob", Phase: state.Tailing}, "alice": {User: "alice", Phase: state.Tailing}}, "n2")
	n := b.srv.node
	if k, err := n.look(t.Context(), "bob"); !errors.Is(err, state.ErrUntrusted) {
		t.Fatalf("bob is %+v (%v)", k, err)
	}
	must(t, "ready", func() bool { return slices.Equal(b.store.marked(), []string{"ready"}) })
	steps(t, b, `C: b NOOP
P: b NOOP
B: b OK still at the source
S: b OK still at the source`)
	routed := make(chan route)
	go func() {
		rt, err := (&session{srv: b.srv}).route(t.Context(), n.users.enter("bob"), "bob")
		if err != nil {
			t.Error(err)
		}
		routed <- rt
	}()
	b.store.do(func() { b.store.unready = nil })
	must(t, "posted", func() bool { return slices.Equal(b.store.marked(), []string{"ready", "post"}) })
	b.store.do(func() {
		b.store.records["bob"] = state.Record{User: "bob", Phase: state.Migrated}
		b.store.accepted, b.store.others = "r2", nil
	})
	if rt := <-routed; rt.onSource {
		t.Errorf("bob is routed to %+v", rt)
	}
	steps(t, b, `C: c NOOP
P: c NOOP
B: c OK alice goes on
S: c OK alice goes on`)
}

// The model's NO_HOLD: a switch that was lost is back, because a newer snapshot was restored. The sessions on the source are held before
// this node posts, and move once records count.
func TestHeldToPost(t *testing.T) {
	b := newBed(t)
	withJournal(t, b)
	logIn(t, b)
	b.store.restart("r2", map[string]state.Record{"alice": {User: "alice", Phase: state.Migrated}}, "n2")
	b.store.do(func() { b.store.unready = nil })
	must(t, "posted", func() bool { return slices.Contains(b.store.marked(), "post") })
	n := b.srv.node
	n.users.mu.Lock()
	for st := range n.users.byName["alice"].seats {
		if !isClosed(st.quiet) {
			t.Error("posted, and the session is not held")
		}
	}
	n.users.mu.Unlock()
	b.store.do(func() { b.store.accepted = "r2" })
	must(t, "alice is sent to the target", func() bool { return n.users.sessionsOnSource("alice") == 0 })
}

// Switches that were learned before the journal was read, to be posted, are not noted after it: this node alone would know them.
func TestNotedBeforePosted(t *testing.T) {
	b := newBed(t)
	j := withJournal(t, b)
	logIn(t, b)
	b.store.put(state.Record{User: "bob", Phase: state.Migrated, Attempt: "t1"})
	n := b.srv.node
	k, err := n.look(t.Context(), "bob")
	if err != nil || !k.Phase.OnTarget() {
		t.Fatalf("bob is %+v (%v)", k, err)
	}
	b.store.restart("r2", map[string]state.Record{})
	n.trust.suspect(state.ErrUntrusted)
	must(t, "accepted", func() bool { k, err := n.look(t.Context(), "bob"); return err == nil && k.Phase == 0 })
	if _, err := n.settle(t.Context(), k, false); !errors.Is(err, state.ErrUntrusted) {
		t.Errorf("settled: %v", err)
	}
	if _, noted, err := j.Find("bob"); noted || err != nil {
		t.Errorf("noted: %v (%v)", noted, err)
	}
}

// A node that is dead is named, again and again; whoever is held meanwhile hears so in the end, and logins are refused at once.
func TestNodeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		log := &lines{}
		n := newNode("n1", 30*time.Second, store, nil, log.logger())
		if err := n.enroll(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		stop := runNode(t, n)
		defer stop()
		store.restart("r2", nil, "n2")
		n.trust.suspect(state.ErrUntrusted)
		time.Sleep(time.Second)
		if !n.trust.comesSoon() {
			t.Error("logins are refused after a second")
		}
		time.Sleep(2 * time.Minute)
		if n.trust.comesSoon() || slices.Contains(store.marked(), "post") {
			t.Errorf("after two minutes: %v", store.marked())
		}
		if got := log.count("missing=[n2]"); got != 2 {
			t.Errorf("told %d times", got)
		}
		store.do(func() { store.others, store.unready = nil, nil }) // forgotten
		time.Sleep(5 * time.Second)
		if d, _ := store.Doubt(t.Context()); d.Untrusted || log.count("count again") != 1 {
			t.Errorf("%+v", d)
		}
	})
}

// A node posts at its start, before it serves anybody, and tells whom else it knows to have a journal.
func TestEnroll(t *testing.T) {
	b := newBed(t)
	j := withJournal(t, b)
	if err := j.Note(journal.Switch{User: "alice", Attempt: "t1"}); err != nil {
		t.Fatal(err)
	}
	if err := j.NoteRoster([]string{"n1", "n2"}); err != nil {
		t.Fatal(err)
	}
	b.store.restart("r2", map[string]state.Record{})
	n := newNode("n1", 0, b.store, j, testLog(t))
	if err := n.enroll(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if rec, err := b.store.Get(t.Context(), "alice"); err != nil || rec.Phase != state.Migrated {
		t.Errorf("alice is %+v (%v)", rec, err)
	}
	if !slices.Equal(b.store.roster, []string{"n1", "n2"}) {
		t.Errorf("told of %v", b.store.roster)
	}
	if over := (&healing{Node: n}).look(t.Context()); !over {
		t.Error("something is left to do")
	}
	if r, err := j.Roster(); err != nil || !slices.Equal(r, []string{"n1"}) { // as the store says now
		t.Errorf("remembers %v (%v)", r, err)
	}
}

// lines is a log that can be searched.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

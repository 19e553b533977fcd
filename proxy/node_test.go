package proxy

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// logIn brings a session of alice to the source, ready for commands.
func logIn(t *testing.T, b *bed) {
	t.Helper()
	steps(t, b, `S~ \* OK .*
C: a LOGIN alice secret
B: * OK [CAPABILITY IMAP4rev1] source ready
P: f1 LOGIN "alice" "secret"
B: f1 OK [CAPABILITY IMAP4rev1 IDLE] welcome
S~ a OK .*`)
}

// steps plays lines of a transcript.
func steps(t *testing.T, b *bed, text string) {
	t.Helper()
	var last *peer
	for _, line := range bytes.Split([]byte(text), []byte("\n")) {
		if err := b.step(string(line), &last); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if last != nil {
		if err := last.flush(); err != nil {
			t.Fatal(err)
		}
	}
}

func must(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if err := until(cond); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

const longBudget = time.Minute // never reached

// shortTTL has a node beat every second, and leaves a loaded machine two to be late.
const shortTTL = 3 * time.Second

// I5: a session that is held goes on where it was once the attempt is called off, and what the client said meanwhile is not lost.
func TestHoldCalledOff(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	b.store.begin("alice", "t1", longBudget)
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
	steps(t, b, "C: b NOOP")
	b.store.finish("alice", state.Tailing)
	steps(t, b, "P: b NOOP\nB: b OK done\nS: b OK done")
	if n := b.store.disconnected("alice"); n != 0 {
		t.Errorf("%d sessions counted as ended", n)
	}
}

// I3: a hold is acknowledged only when the command under way is through.
func TestHoldWaitsForCommand(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	steps(t, b, "C: b STORE 1 +FLAGS (\\Seen)\nP: b STORE 1 +FLAGS (\\Seen)")
	b.store.begin("alice", "t1", longBudget)
	must(t, "held", func() bool { return b.held("alice") })
	if b.store.acknowledged("t1") {
		t.Fatal("acknowledged with a command in flight")
	}
	steps(t, b, "B: b OK stored\nS: b OK stored")
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
}

// held reports whether the node holds user.
func (b *bed) held(name string) bool {
	us := b.srv.node.users
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byName[name]
	return u != nil && u.holds > 0
}

// I3: after the switch nothing of a session reaches the source; it goes on at the target and is counted.
func TestHoldSwitched(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	b.store.begin("alice", "t1", longBudget)
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
	steps(t, b, "C: b NOOP")
	b.store.finish("alice", state.Migrated)
	steps(t, b, "P: imapferry1 LOGOUT\n"+enterTarget+"\nP!\nQ: b NOOP\nD: b OK done\nS: b OK done")
	must(t, "counted", func() bool { return b.store.moved("alice") == 1 })
	if n := b.store.disconnected("alice"); n != 0 {
		t.Errorf("%d sessions counted as ended", n)
	}
}

// enterTarget is how a session of alice enters the target.
const enterTarget = `D: * OK [CAPABILITY IMAP4rev1] target ready
Q: f1 LOGIN "alice" "secret"
D: f1 OK [CAPABILITY IMAP4rev1 LITERAL+ ENABLE ID IDLE NAMESPACE CHILDREN UIDPLUS UNSELECT] welcome`

// A node without a session of the user has nothing to wait for.
func TestHoldWithoutSession(t *testing.T) {
	b := newBed(t)
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	b.store.begin("alice", "t1", longBudget)
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
	b.store.finish("alice", state.Tailing)
	must(t, "over", func() bool { return !b.held("alice") })
}

// A login in a cutover waits for its end and goes where the record then points.
func TestLoginWaitsForCutover(t *testing.T) {
	b := newBed(t)
	b.store.begin("alice", "t1", longBudget)
	steps(t, b, "S~ \\* OK .*\nC: a LOGIN alice secret")
	must(t, "read the record twice", func() bool { b.store.mu.Lock(); defer b.store.mu.Unlock(); return b.store.gets > 2 })
	b.store.finish("alice", state.Migrated)
	steps(t, b, `D: * OK [CAPABILITY IMAP4rev1] target ready
Q: f1 LOGIN "alice" "secret"
D: f1 OK [CAPABILITY IMAP4rev1] welcome
S~ a OK .*`)
}

// I3: a cutover that begins while a login is on its way to the source does not wait for it, and the login does not stay there.
func TestCutoverOvertakesLogin(t *testing.T) {
	b := newBed(t)
	steps(t, b, `S~ \* OK .*
C: a LOGIN alice secret
B: * OK [CAPABILITY IMAP4rev1] source ready
P: f1 LOGIN "alice" "secret"`)
	b.store.begin("alice", "t1", longBudget)
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
	steps(t, b, "B: f1 OK [CAPABILITY IMAP4rev1] welcome\nP!")
	b.store.finish("alice", state.Migrated)
	steps(t, b, `D: * OK [CAPABILITY IMAP4rev1] target ready
Q: f1 LOGIN "alice" "secret"
D: f1 OK [CAPABILITY IMAP4rev1] welcome
S~ a OK .*
C: b NOOP
Q: b NOOP`)
}

// The same when the whole cutover fits into one login: the route that was read before it is not believed.
func TestCutoverWithinLogin(t *testing.T) {
	b := newBed(t)
	steps(t, b, `S~ \* OK .*
C: a LOGIN alice secret
B: * OK [CAPABILITY IMAP4rev1] source ready
P: f1 LOGIN "alice" "secret"`)
	b.store.begin("alice", "t1", longBudget)
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
	b.store.finish("alice", state.Migrated)
	must(t, "over", func() bool { return !b.held("alice") })
	steps(t, b, `B: f1 OK [CAPABILITY IMAP4rev1] welcome
P!
D: * OK [CAPABILITY IMAP4rev1] target ready
Q: f1 LOGIN "alice" "secret"
D: f1 OK [CAPABILITY IMAP4rev1] welcome
S~ a OK .*`)
}

// I5: past the deadline a node calls off, if the worker does not.
func TestDeadlinePassed(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	steps(t, b, "C: b SEARCH ALL\nP: b SEARCH ALL")
	b.store.begin("alice", "t1", time.Millisecond)
	must(t, "called off", func() bool { b.store.mu.Lock(); defer b.store.mu.Unlock(); return len(b.store.calls) == 1 })
	steps(t, b, "B: b OK done\nS: b OK done\nC: c NOOP\nP: c NOOP")
}

// A session that never comes to rest may spoil three cutovers. Those that wait for the user to be idle are none of them.
func TestSpoiltCutovers(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	steps(t, b, "C: b STORE 1 +FLAGS (x)\nP: b STORE 1 +FLAGS (x)")
	idle := state.IdleAttempt
	for i, attempt := range []string{idle("1"), "t1", idle("2"), "t2", idle("3"), idle("4"), "t3"} {
		if i > 0 && b.store.disconnected("alice") != 0 {
			t.Fatalf("ended before %s", attempt)
		}
		b.store.begin("alice", attempt, longBudget)
		must(t, "held", func() bool { return b.held("alice") })
		b.store.finish("alice", state.Tailing)
		must(t, "over", func() bool { return !b.held("alice") })
	}
	must(t, "counted", func() bool { return b.store.disconnected("alice") == 1 })
	steps(t, b, "S: * BYE "+restless+"\nS!")
}

// Two attempts overlap on a node that has not read the end of the first: the end of the first does not release the second (I3).
func TestOverlappingHolds(t *testing.T) {
	us := newUsers()
	st := us.enter("alice")
	client, back := &fakeConn{}, &fakeConn{}
	r := newRelay(end{client, wire.NewReader(client, 0)}, end{back, wire.NewReader(back, 0)}, relayConfig{})
	if turn, _, _ := st.look(); !st.attach(r, true, turn) {
		t.Fatal("not attached")
	}
	us.hold("alice")
	us.hold("alice")
	us.release("alice", true)
	if _, held, _ := st.look(); !held || !r.held {
		t.Error("the second hold is gone with the first")
	}
	us.release("alice", true)
	if _, held, _ := st.look(); held || r.held {
		t.Error("still held")
	}
	r.cut()
	st.leave()
	if len(us.byName) != 0 {
		t.Error("the user is not forgotten")
	}
}

// I3: a node that was declared dead ends what was under way, holds the rest, and goes on as a new incarnation once it
// has read the records.
func TestFencedNode(t *testing.T) {
	b := newBed(t)
	b.cfg.NodeTTL = shortTTL
	logIn(t, b)
	b.store.do(func() { b.store.fenced = true })
	must(t, "joined anew", func() bool { b.store.mu.Lock(); defer b.store.mu.Unlock(); return b.store.joins == 2 })
	steps(t, b, "C: b NOOP\nP: b NOOP\nB: b OK done\nS: b OK done")

	steps(t, b, "C: c STORE 1 +FLAGS (x)\nP: c STORE 1 +FLAGS (x)")
	b.store.do(func() { b.store.fenced = true })
	steps(t, b, "S!")
}

// I3: a user who was switched while the node counted as dead does not go on at the source.
func TestFencedNodeMissedSwitch(t *testing.T) {
	b := newBed(t)
	b.cfg.NodeTTL = shortTTL
	logIn(t, b)
	b.store.do(func() {
		b.store.fenced = true
		b.store.records["alice"] = state.Record{User: "alice", Phase: state.Migrated}
	})
	steps(t, b, "P: imapferry1 LOGOUT\n"+enterTarget+"\nC: b NOOP\nQ: b NOOP")
}

// I3: neither does he for the moment that it takes to read what his sessions have to know of the switch. What the client had said
// while the node counted as dead was sent to the source then, and acknowledged.
func TestFencedNodeReadsSwitch(t *testing.T) {
	b := newBed(t)
	b.cfg.NodeTTL = shortTTL
	b.store.asked = make(chan struct{})
	logIn(t, b)
	b.store.do(func() {
		b.store.fenced = true
		b.store.records["alice"] = state.Record{User: "alice", Phase: state.Migrated}
	})
	must(t, "joined anew", func() bool { b.store.mu.Lock(); defer b.store.mu.Unlock(); return b.store.joins == 2 })
	us := b.srv.node.users
	must(t, "others go on", func() bool { us.mu.Lock(); defer us.mu.Unlock(); return us.lost == 0 })
	us.mu.Lock()
	if us.byName["alice"].holds == 0 {
		t.Error("alice goes on with them")
	}
	us.mu.Unlock()
	steps(t, b, "C: b STORE 1 +FLAGS (x)")
	close(b.store.asked)
	steps(t, b, "P: imapferry1 LOGOUT\n"+enterTarget+"\nQ: b STORE 1 +FLAGS (x)")
}

// I3: a user who is in cutover when a node lives again does not go on at the source: the attempt began without this incarnation, and is in
// nobody's inbox.
func TestFencedNodeInCutover(t *testing.T) {
	b := newBed(t)
	b.cfg.NodeTTL = shortTTL
	logIn(t, b)
	b.store.do(func() {
		b.store.fenced = true
		b.store.records["alice"] = state.Record{User: "alice", Phase: state.Cutover, Attempt: "t1", Deadline: time.Now().Add(longBudget)}
	})
	must(t, "joined anew", func() bool { b.store.mu.Lock(); defer b.store.mu.Unlock(); return b.store.joins == 2 })
	steps(t, b, "C: b NOOP")
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
	b.store.finish("alice", state.Migrated)
	steps(t, b, "P: imapferry1 LOGOUT\n"+enterTarget+"\nQ: b NOOP")
}

// I3: while the node's life is in doubt no session takes its place at the source, whenever its route was read.
func TestNoSeatInDoubt(t *testing.T) {
	us := newUsers()
	st := us.enter("alice")
	us.lose(ofLife)
	turn, _, _ := st.look()
	if st.attach(&relay{}, true, turn) {
		t.Error("attached to the source")
	}
	if !st.attach(&relay{}, false, turn) {
		t.Error("not attached to the target")
	}
}

// I5, I7: with the store out of reach sessions on the source are held before the node's life ends, and end when that
// lasts; logins are refused.
func TestStoreOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		if err := n.join(t.Context()); err != nil {
			t.Fatal(err)
		}
		client, back := &fakeConn{}, &fakeConn{}
		r := newRelay(end{client, wire.NewReader(client, 0)}, end{back, wire.NewReader(back, 0)}, relayConfig{})
		st := n.users.enter("alice")
		turn, _, _ := st.look()
		if !st.attach(r, true, turn) {
			t.Fatal("not attached")
		}
		store.fail(true)
		began := time.Now()
		for lost := time.Duration(0); !st.ended; {
			n.beat(t.Context())
			if lost == 0 && !n.lostAt.IsZero() {
				lost = time.Since(began)
				if lost < 20*time.Second || lost > 26*time.Second {
					t.Errorf("held after %s; want between 20 s and 26 s", lost)
				}
			}
			if time.Since(began) > time.Minute {
				t.Fatal("held for ever")
			}
			time.Sleep(100 * time.Millisecond) // the bubble's clock
		}
		if _, held, _ := st.look(); !held {
			t.Error("logins to the source are not stopped")
		}
		r.cut()
		st.leave()
	})
}

// I5: a record that is gone says nothing of how the attempt ended. It was taken for a call-off once, and the session of a user who
// had been switched went on at the source.
func TestHoldRecordGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		if err := n.join(t.Context()); err != nil {
			t.Fatal(err)
		}
		quiet, changed := n.users.hold("alice")
		began := time.Now()
		if v := n.await(t.Context(), state.Hold{User: "alice", Attempt: "t1"}, quiet, changed); v != undecided {
			t.Errorf("the attempt counts as %d after %s", v, time.Since(began))
		}
		if waited := time.Since(began); waited < holdLimit {
			t.Errorf("given up after %s", waited)
		}
	})
}

// I3: that an attempt is committed is not yet its end, since a store may lose that; it ends when the record says that the target serves the
// user.
func TestHoldCommitting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		if err := n.join(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.put(state.Record{User: "alice", Phase: state.Cutover, Attempt: "t1", Committing: true})
		const after = 5 * time.Second
		time.AfterFunc(after, func() { store.finish("alice", state.Migrated) })
		quiet, changed := n.users.hold("alice")
		began := time.Now()
		if v := n.await(t.Context(), state.Hold{User: "alice", Attempt: "t1"}, quiet, changed); v != switched || time.Since(began) < after {
			t.Errorf("the attempt counts as %d after %s", v, time.Since(began))
		}
	})
}

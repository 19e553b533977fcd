package proxy

import (
	"errors"
	"io"
	"testing"
	"time"

	"imapferry/state"
)

// I3: a process that was stopped for longer than its lease goes on where it was, at the client's answer among others, before it learns
// that it counts as dead.
func TestAnswerAfterEnd(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	steps(t, b, "C: b STORE 1 +FLAGS (x)\nP: b STORE 1 +FLAGS (x)")
	b.srv.node.life.end()
	steps(t, b, "B: b OK stored\nS!")
}

// The same in a relay, which tells why.
func TestRelayOutlivesLife(t *testing.T) {
	l := newLife(time.Hour)
	l.renew(l.sign())
	bed := newRelayBed(t, relayConfig{Life: l, LiteralPlus: true}, nil)
	bed.client.SetDeadline(time.Now().Add(stepTimeout))
	say := func(to io.Writer, line string, from io.Reader) {
		t.Helper()
		if _, err := io.WriteString(to, line); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(from, make([]byte, len(line))); err != nil {
			t.Fatal(err)
		}
	}
	say(bed.client, "a NOOP\r\n", bed.backend)
	say(bed.backend, "a OK done\r\n", bed.client)
	say(bed.client, "b FETCH 1 BODY[]\r\n", bed.backend)
	say(bed.backend, "* 1 FETCH (BODY[] {10}\r\n12345", bed.client)
	l.end()
	if _, err := io.WriteString(bed.backend, "67890)\r\nb OK done\r\n"); err != nil {
		t.Fatal(err)
	}
	if heard, err := io.ReadAll(bed.client); len(heard) > 0 || err != nil {
		t.Errorf("the client heard %q (%v)", heard, err)
	}
	bed.client.Close()
	bed.backend.Close()
	if stats := <-bed.ended; stats.Reason != endedByUs || !errors.Is(stats.Err, errLifeless) {
		t.Errorf("the session ended with %+v", stats)
	}
}

// I5: sessions on the target need no lease, those that were moved there among them.
func TestTargetNeedsNoLife(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	b.store.begin("alice", "t1", longBudget)
	must(t, "acknowledged", func() bool { return b.store.acknowledged("t1") })
	b.store.finish("alice", state.Migrated)
	steps(t, b, "P: imapferry1 LOGOUT\n"+enterTarget+"\nP!")
	must(t, "moved", func() bool { return b.store.moved("alice") == 1 })
	b.srv.node.life.end()
	steps(t, b, "C: b NOOP\nQ: b NOOP\nD: b OK done\nS: b OK done")
}

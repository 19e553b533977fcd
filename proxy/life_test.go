package proxy

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/wire"
)

// I3: a host that sleeps stops the clock by which everything else goes, while others declare the node dead. That the clock on the wall
// is set is no sleep.
func TestLifeWhileHostSleeps(t *testing.T) {
	const ttl = 30 * time.Second
	for _, c := range []struct {
		name              string
		wall, goes, slept time.Duration // by each clock, since the sign of life
		valid             bool
	}{
		{"awake", 29 * time.Second, 29 * time.Second, 0, true},
		{"awake for too long", ttl, ttl, 0, false},
		{"slept", ttl, time.Second, ttl, false},
		{"slept a little", 8 * time.Second, time.Second, 8 * time.Second, true},
		{"slept, and was awake", ttl + time.Second, 20 * time.Second, ttl + time.Second, false},
		{"wall clock put forward", time.Hour, time.Second, time.Second, true},
		{"wall clock put back", -time.Hour, time.Second, time.Second, true},
		{"wall clock put back, and slept", -time.Hour, time.Second, ttl, false},
	} {
		l, now := newLife(ttl), time.Now()
		l.sleepless = func() time.Duration { return time.Hour + c.slept }
		l.renew(&sign{at: now.Add(-c.goes), wall: now.Add(-c.wall).UnixNano(), sleepless: time.Hour})
		if l.valid(now) != c.valid {
			t.Errorf("%s: valid is %v after %s", c.name, !c.valid, l.silent(now))
		}
	}
}

// A node that has not joined is not alive, and one that was refused is not, whatever the clocks say.
func TestLifeEnds(t *testing.T) {
	l := newLife(time.Hour)
	if l.valid(time.Now()) {
		t.Error("valid before the first sign of life")
	}
	l.renew(l.sign())
	if !l.valid(time.Now()) {
		t.Error("not valid after a sign of life")
	}
	l.end()
	if l.valid(time.Now()) {
		t.Error("valid after its end")
	}
}

// I3: the lease counts from when a Beat was sent. Counted from its answer, which took its time, it outlasted what others wait for.
func TestLifeCountsFromBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		if err := n.enter(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		store.do(func() { store.slow = 2 * time.Second })
		n.beat(t.Context())
		if silent := n.life.silent(time.Now()); silent != 2*time.Second {
			t.Errorf("after a Beat whose answer took 2 s the node takes itself for silent for %s", silent)
		}
	})
}

// I3: whatever a store that hangs costs the node's loop, sessions with commands in flight are cut before the lease ends.
func TestStoreHangs(t *testing.T) {
	const ttl = 30 * time.Second
	for hangsAfter := time.Duration(0); hangsAfter < ttl/3; hangsAfter += 700 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore()
			n := newNode("n1", ttl, store, nil, testLog(t))
			if err := n.enter(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			client, back := &closing{closed: make(chan struct{})}, &fakeConn{}
			r := newRelay(end{client, wire.NewReader(client, 0)}, end{back, wire.NewReader(back, 0)}, relayConfig{})
			r.sending = true
			st := n.users.enter("alice")
			turn, _, _ := st.look()
			if !st.attach(r, true, turn) {
				t.Fatal("not attached")
			}
			stop := runNode(t, n)
			time.Sleep(hangsAfter)
			store.do(func() { store.hangs = true })
			<-client.closed
			if silent := n.life.silent(time.Now()); silent > ttl*97/100 || silent < ttl*7/8 { // a call of the store lasts ttl/12 at most
				t.Errorf("store hangs after %s: cut after %s of silence", hangsAfter, silent)
			}
			stop()
		})
	}
}

// closing tells when it is closed first.
type closing struct {
	fakeConn
	closed chan struct{}
	once   sync.Once
}

func (c *closing) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// BenchmarkLife is what the lease costs with each piece that is read from the source, whose time is known in any case.
func BenchmarkLife(b *testing.B) {
	l := newLife(time.Hour)
	l.renew(l.sign())
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if !l.valid(now) {
			b.Fatal("not valid")
		}
	}
}

package redisstate_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/redisstate"
)

// ttl is what a test can wait for.
const ttl = 200 * time.Millisecond

func join(t *testing.T, s *redisstate.Store, name string, ttl time.Duration) state.Node {
	t.Helper()
	n, err := s.Join(t.Context(), name, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantLive(t *testing.T, what string, s *redisstate.Store, want ...state.Node) {
	t.Helper()
	got, err := s.Live(t.Context())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: alive are %v, want %v (%v)", what, got, want, err)
	}
}

// A process that has just started has seen no beat stand still: whatever the store's clock says, it declares nobody dead. A node that has
// been stopped for a while counted as dead at once for whoever asked, by a clock that was not its own: one that is ahead would bury a
// node that still delivers replies (I3).
func TestObserverJustStarted(t *testing.T) {
	r := server(t)
	c := raw(t, r)
	a, b := open(t, r.URL()), open(t, r.URL())
	n := join(t, a, "n", ttl)
	pass(t, c, 2*ttl)
	began := time.Now()
	wantLive(t, "the first look of b", b, n)
	pass(t, c, ttl/2)
	if live, err := b.Live(t.Context()); time.Since(began) <= ttl && (err != nil || len(live) != 1) {
		t.Errorf("b, after %s: alive are %v (%v)", time.Since(began), live, err)
	}
	pass(t, c, ttl)
	wantLive(t, "b has seen n silent for long enough", b)
	if err := a.Beat(t.Context(), n, ttl); !errors.Is(err, state.ErrFenced) {
		t.Errorf("beat of the dead: %v", err)
	}
}

// A node beats after another process has seen its beat stand still, and before that process says that it is dead: it lives on. It was
// told that it lives, and would serve on beside the target (I3).
func TestBeatBeforeBurial(t *testing.T) {
	f := startStandalone(t)
	c := raw(t, f.servers[0])
	p := &lossy{}
	a, b := f.open(t), f.openThrough(t, p)
	n := join(t, a, "n", ttl)
	wantLive(t, "the first look of b", b, n)
	pass(t, c, 2*ttl)
	var buried atomic.Bool
	p.tell(func(request string) {
		if strings.Contains(request, n.Incarnation) && buried.CompareAndSwap(false, true) {
			if err := a.Beat(t.Context(), n, ttl); err != nil {
				t.Errorf("beat: %v", err)
			}
		}
	})
	live, err := b.Live(t.Context())
	if err != nil || len(live) != 1 {
		t.Errorf("alive are %v (%v)", live, err)
	}
	if !buried.Load() {
		t.Error("nobody tried to bury n")
	}
}

// Two masters that do not know of each other, as after a failover: what a Beat writes to the one is never what another Beat wrote to
// the other, or whoever has looked at both sees a beat that stands still.
func TestBeatsNeverRepeat(t *testing.T) {
	r := server(t)
	c := raw(t, r)
	s := open(t, r.URL())
	n := join(t, s, "n", time.Hour)
	before, err := c.Dump(t.Context(), livesKey).Result()
	if err != nil {
		t.Fatal(err)
	}
	entry := func() string {
		t.Helper()
		if err := s.Beat(t.Context(), n, time.Hour); err != nil {
			t.Fatal(err)
		}
		e, err := c.HGet(t.Context(), livesKey, "n").Result()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := entry()
	if err := c.RestoreReplace(t.Context(), livesKey, 0, before).Err(); err != nil {
		t.Fatal(err)
	}
	if second := entry(); second == first {
		t.Errorf("both masters hold %q", first)
	}
}

const livesKey = "ferry:{nodes}:lives"

// The reply to a Join is lost for good. What it may have registered is the process's own: it need not wait for its death.
func TestJoinLost(t *testing.T) {
	p := &lossy{}
	s := startStandalone(t).openThrough(t, p)
	old := join(t, s, "n", time.Hour)
	var lose sync.Once
	p.tell(func(request string) {
		if strings.Contains(request, old.Incarnation) { // as a former one
			lose.Do(func() { p.armed.Store(2) })
		}
	})
	lost, err := s.Join(t.Context(), "n", time.Hour, old.Incarnation)
	if err == nil {
		t.Fatal("no reply was lost")
	}
	var taken *state.Taken
	if _, err := s.Join(t.Context(), "n", time.Hour, old.Incarnation); !errors.As(err, &taken) {
		t.Errorf("without the one that was lost: %v", err)
	}
	n, err := s.Join(t.Context(), "n", time.Hour, old.Incarnation, lost.Incarnation)
	if err != nil {
		t.Fatal(err)
	}
	wantLive(t, "joined", s, n)
}

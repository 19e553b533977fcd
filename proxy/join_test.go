package proxy

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/state"
)

// runNode runs n until the returned function is called.
func runNode(t *testing.T, n *Node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		n.run(ctx)
		close(done)
	}()
	return func() { cancel(); <-done }
}

// takenBy is what a store says of a name that a process has which was just heard of.
func takenBy(silent time.Duration) *state.Taken {
	return &state.Taken{Node: state.Node{Name: "n1", Incarnation: "other"}, Since: time.Now(), Silent: silent, TTL: 30 * time.Second}
}

// A node that was killed starts anew: it waits for as long as it takes itself to be dead, says so once, and serves.
func TestJoinWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.taken = takenBy(10 * time.Second)
		time.AfterFunc(23*time.Second, func() { store.do(func() { store.taken = nil }) })
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		began, told := time.Now(), 0
		err := n.enter(t.Context(), func(taken *state.Taken) {
			told++
			if left := taken.Left(); left != 23*time.Second {
				t.Errorf("waits for %s", left)
			}
		})
		if waited := time.Since(began); err != nil || waited < 23*time.Second || waited > 24*time.Second || told != 1 {
			t.Errorf("joined after %s, told %d times: %v", waited, told, err)
		}
		if !n.life.valid(time.Now()) {
			t.Error("not alive")
		}
	})
}

// A store that takes its time looks at the other process a moment before it counts as dead, and answers a moment after. The next try
// must still come, or a node that was killed would not start again.
func TestJoinWaitsForSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.taken, store.late = takenBy(0), 2*time.Second
		time.AfterFunc(35*time.Second, func() { store.do(func() { store.taken = nil }) })
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		if err := n.enter(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
}

// A store that is slow for a moment when a node starts, or stops, costs it that moment: a node that has a short TTL gave up its start after
// a twelfth of that. What an unanswered try may have registered is the node itself.
func TestJoinStalls(t *testing.T) {
	for _, c := range []struct {
		stalls  time.Duration
		formers [][]string
	}{{2 * time.Second, [][]string{nil}}, {time.Hour, [][]string{nil, {"b"}}}} {
		synctest.Test(t, func(t *testing.T) {
			store := newFakeStore()
			store.stalls = c.stalls
			n := newNode("n1", 3*time.Second, store, nil, testLog(t))
			if err := n.enter(t.Context(), nil); err != nil || !slices.EqualFunc(store.formers, c.formers, slices.Equal) {
				t.Errorf("the first answer takes %s: joined as former %q, want %q: %v", c.stalls, store.formers, c.formers, err)
			}
			stop := runNode(t, n)
			synctest.Wait()
			store.do(func() { store.stalls = 2 * time.Second })
			stop()
			if store.left != 1 {
				t.Errorf("Leave takes 2 s: the node is still registered")
			}
		})
	}
}

// The store took longer to answer than others wait for a sign of life, and they have declared the node dead: it joins again, and serves.
func TestJoinTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.stalls = 4 * time.Second
		time.AfterFunc(store.stalls-time.Millisecond, func() { store.do(func() { store.fenced = true }) })
		n := newNode("n1", 3*time.Second, store, nil, testLog(t))
		if err := n.enroll(t.Context(), nil); err != nil || store.joins != 2 || !n.life.valid(time.Now()) {
			t.Errorf("joined %d times: %v", store.joins, err)
		}
	})
}

// Told to stop while the store does not answer, a node does not go on trying.
func TestJoinStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.stalls = time.Hour
		n := newNode("n1", 3*time.Second, store, nil, testLog(t))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.enter(ctx, nil); err == nil || store.joins != 1 {
			t.Errorf("joined %d times: %v", store.joins, err)
		}
	})
}

// The other process lives on: two nodes have one name, which the operator must mend.
func TestJoinRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.taken = takenBy(0)
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		began := time.Now()
		err := n.enter(t.Context(), nil)
		if waited := time.Since(began); !errors.As(err, new(*state.Taken)) || waited < 33*time.Second || waited > 34*time.Second {
			t.Errorf("after %s: %v", waited, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.enter(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("told to stop: %v", err)
		}
	})
}

// The answer to a Join is lost. What it has registered is this process, so the next one need not wait for its death.
func TestJoinAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		n := newNode("n1", 30*time.Second, store, nil, testLog(t))
		if err := n.enter(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		store.do(func() { store.fenced, store.lost = true, 1 })
		time.Sleep(10 * time.Second)
		n.beat(t.Context())
		if n.life.valid(time.Now()) {
			t.Error("refused, and takes itself for alive")
		}
		store.do(func() { store.fenced = true })
		time.Sleep(time.Second)
		n.beat(t.Context())
		if want := [][]string{nil, {"b"}, {"b", "c"}}; !slices.EqualFunc(store.formers, want, slices.Equal) {
			t.Errorf("joined as former %q, want %q", store.formers, want)
		}
		if got := n.me().Incarnation; got != "d" || !slices.Equal(n.former, []string{"d"}) {
			t.Errorf("joined as %s, former %q", got, n.former)
		}
	})
}

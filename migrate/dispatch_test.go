package migrate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// latency is how long a store takes to answer.
const latency = 2 * time.Millisecond

// queue is a store that knows who waits, and who has been taken by whom. Whoever takes a user is busy with him for a while, and holds him
// at the end. It is slow, so that what several nodes want of it overlaps.
type queue struct {
	Store
	busyFor func(user string) time.Duration

	mu      sync.Mutex
	waiting []string          // in order
	taken   map[string]string // by whom
	order   []string          // in which they were taken
	refused int               // who had been taken already
	asked   int               // who is due
}

func (q *queue) Watch(context.Context) <-chan string {
	none := make(chan string)
	close(none)
	return none
}

func (q *queue) List(context.Context, state.Phase, string, int) ([]state.Record, error) {
	return nil, nil
}

func (q *queue) Due(_ context.Context, limit int) ([]string, error) {
	time.Sleep(latency)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked++
	return slices.Clone(q.waiting[:min(limit, len(q.waiting))]), nil
}

func (q *queue) Offer(_ context.Context, user string) (state.Record, error) {
	time.Sleep(latency)
	return state.Record{User: user, Phase: state.Pending}, nil
}

func (q *queue) Get(_ context.Context, user string) (state.Record, error) {
	return state.Record{User: user, Phase: state.Held}, nil
}

func (q *queue) Acquire(_ context.Context, user, owner string, _ time.Duration) (state.Lease, state.Record, error) {
	time.Sleep(latency)
	if !q.take(user, owner) {
		return state.Lease{}, state.Record{}, state.ErrBusy
	}
	time.Sleep(q.busyFor(user))
	return state.Lease{}, state.Record{}, state.ErrPhase
}

func (q *queue) take(user, owner string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.taken[user] != "" {
		q.refused++
		return false
	}
	q.taken[user] = owner
	q.order = append(q.order, user)
	q.waiting = slices.DeleteFunc(q.waiting, func(u string) bool { return u == user })
	return true
}

// engines starts some that enter both servers by a master user, on a store in which so many users are due.
func engines(t *testing.T, n, due int, busyFor func(string) time.Duration) (*queue, []*Engine) {
	t.Helper()
	q := &queue{busyFor: busyFor, taken: map[string]string{}}
	for i := range due {
		q.waiting = append(q.waiting, fmt.Sprintf("user%04d", i))
	}
	server := func(side string) *backend.Backend {
		cfg := backend.Defaults()
		cfg.URL, cfg.Login, cfg.MasterUser, cfg.MasterPassword = "imap://localhost", backend.Master, "root", "secret"
		b, err := backend.New(side, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var all []*Engine
	for i := range n {
		e, err := New(Config{Settings: DefaultSettings(), Source: server("source"), Target: server("target"), TargetSettings: DefaultTargetSettings(),
			Store: q, Owner: fmt.Sprintf("node%d", i), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		e.Start(t.Context())
		all = append(all, e)
	}
	return q, all
}

// All workers are busy with users who are due when somebody logs in. He is next, however many are due.
func TestOfferedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, all := engines(t, 1, 50, func(user string) time.Duration { return time.Hour })
		time.Sleep(time.Minute)
		all[0].Offer("alice", "pass")
		all[0].Offer("bob", "pass")
		time.Sleep(time.Hour)
		all[0].Stop()
		workers := DefaultSettings().Workers
		if next := q.order[workers : workers+2]; !slices.Contains(next, "alice") || !slices.Contains(next, "bob") {
			t.Errorf("taken in the order %v", q.order)
		}
	})
}

// Nodes share those who are due, and seldom want the same.
func TestNodesShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes, due = 3, 600
		q, all := engines(t, nodes, due, func(user string) time.Duration { return time.Duration(20+int(user[7]-'0')*7) * time.Millisecond })
		for began := time.Now(); ; time.Sleep(latency) {
			q.mu.Lock()
			left := len(q.waiting)
			q.mu.Unlock()
			if left == 0 {
				break
			}
			if time.Since(began) > time.Hour {
				t.Fatalf("%d are left", left)
			}
		}
		time.Sleep(leaseTTL)
		for _, e := range all {
			e.Stop()
			if len(e.users) > 0 {
				t.Errorf("%s remembers %d users who are nothing to it", e.cfg.Owner, len(e.users))
			}
		}
		shares := map[string]int{}
		for _, owner := range q.taken {
			shares[owner]++
		}
		for _, n := range shares {
			if len(shares) != nodes || n < due/nodes*2/3 {
				t.Errorf("the nodes have taken %v", shares)
				break
			}
		}
		t.Logf("of %d users the nodes took %v; refused %d, asked %d times", due, shares, q.refused, q.asked)
		if q.refused > due/4 {
			t.Errorf("%d times a node wanted who had been taken by another", q.refused)
		}
	})
}

// unswitching is a store that has lost the lease when it is to switch.
type unswitching struct{ Store }

func (unswitching) Switch(context.Context, state.Lease, string, time.Duration) (state.Record, error) {
	return state.Record{}, state.ErrLost
}

// The node that had the user's secret dies between Commit and Switch. The user cannot log in until the switch, so nobody is offered; another
// node's engine switches without a secret (I5).
func TestAbandonedCutover(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.deliver("INBOX", 1)
	s.wrap = func(b *boltstate.Store) Store { return unswitching{b} }
	s.start()
	s.await("committed", func(r state.Record) bool { return r.Committing && r.Owner == "" })
	s.wrap = nil
	s.startAlone()
	s.migrated()
}

package boltstate_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapferry/internal/testbed"
	"imapferry/state/boltstate"
	"imapferry/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that moves by a microsecond at each look, so that everything has an order, and else only when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t *testing.T, path string, now func() time.Time) *boltstate.Store {
	t.Helper()
	s, err := boltstate.Open(path, boltstate.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	statetest.Run(t, func(t *testing.T) *statetest.Harness {
		path, c := filepath.Join(testbed.InMemory(t), "state.db"), newClock()
		s := open(t, path, c.Now)
		h := &statetest.Harness{Store: s, Pass: c.pass}
		h.Reopen = func() {
			t.Helper()
			if err := h.Store.Close(); err != nil {
				t.Fatal(err)
			}
			h.Store = open(t, path, c.Now)
		}
		return h
	})
}

package boltstate

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// What keep does each second: progress is in the file, leases that have ended are gone from memory, and the queue is as before.
func TestFlush(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(filepath.Join(testbed.InMemory(t), "state.db"), Options{Now: func() time.Time { return now }})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	defer s.Close()
	for _, user := range []string{"dead", "alive", "free"} {
		_, err := s.Offer(ctx, user)
		must(err)
	}
	_, _, err = s.Acquire(ctx, "dead", "w", time.Minute)
	must(err)
	l, _, err := s.Acquire(ctx, "alive", "w", time.Hour)
	must(err)
	must(s.Report(ctx, l, state.Progress{Messages: 7}))
	now = now.Add(2 * time.Minute)

	for range 2 {
		due, err := s.Due(ctx, 9)
		must(err)
		if !slices.Equal(due, []string{"free", "dead"}) {
			t.Errorf("due are %q", due)
		}
		must(s.flush())
	}
	if len(s.leases) != 1 || len(s.progress) != 0 {
		t.Errorf("in memory: leases %v, progress %v", s.leases, s.progress)
	}
	if e, err := s.read(ctx, "alive"); err != nil || e.Messages != 7 {
		t.Errorf("in the file: %+v, %v", e, err)
	}
	must(s.Renew(ctx, l, time.Hour))
}

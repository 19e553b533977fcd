package boltstate

import (
	"path/filepath"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// readBeside reads again and again while write runs, on a store that knows alice.
func readBeside(t *testing.T, write func(*Store) error, read func(*Store)) {
	t.Helper()
	s, err := Open(filepath.Join(testbed.InMemory(t), "state.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Offer(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- write(s) }()
	for {
		read(s)
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

// What has been reported moves from memory to the file while others read. They never see less than before, as if mail had been lost.
func TestReadWhole(t *testing.T) {
	ctx := t.Context()
	var last int64
	readBeside(t, func(s *Store) error {
		l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
		for i := int64(0); i < 1000 && err == nil; i++ {
			err = s.Report(ctx, l, state.Progress{Messages: i})
			if err == nil && i%2 == 0 {
				err = s.flush()
			} else if err == nil {
				_, err = s.Advance(ctx, l, state.Pending, state.Change{})
			}
		}
		return err
	}, func(s *Store) {
		rec, err := s.Get(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.List(ctx, 0, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Messages < last || list[0].Messages < rec.Messages {
			t.Fatalf("after %d messages Get shows %d, then List %d", last, rec.Messages, list[0].Messages)
		}
		last = list[0].Messages
	})
}

// A user whom a worker takes has an owner as soon as the epoch is the worker's: an operator, or a test, would take him for given back.
func TestReadOwner(t *testing.T) {
	ctx := t.Context()
	readBeside(t, func(s *Store) (err error) {
		for i := 0; i < 500 && err == nil; i++ {
			_, _, err = s.Acquire(ctx, "alice", "w", time.Hour)
		}
		return err
	}, func(s *Store) {
		if rec, err := s.Get(ctx, "alice"); err != nil || rec.Epoch > 0 && rec.Owner != "w" {
			t.Fatalf("%+v, %v", rec, err)
		}
	})
}

package boltstate

import (
	"path/filepath"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// What has been reported moves from memory to the file while others read. They never see less than before, as if mail had been lost.
func TestReadWhole(t *testing.T) {
	ctx := t.Context()
	s, err := Open(filepath.Join(testbed.InMemory(t), "state.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Offer(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for i := range 1000 {
			err := s.Report(ctx, l, state.Progress{Messages: int64(i)})
			if err == nil && i%2 == 0 {
				err = s.flush()
			} else if err == nil {
				_, err = s.Advance(ctx, l, state.Pending, state.Change{})
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for last := int64(0); ; {
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

// A user whom a worker takes has an owner as soon as the epoch is the worker's: an operator, or a test, would take him for given back.
func TestReadOwner(t *testing.T) {
	ctx := t.Context()
	s, err := Open(filepath.Join(testbed.InMemory(t), "state.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Offer(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for range 500 {
			if _, _, err := s.Acquire(ctx, "alice", "w", time.Hour); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		if rec, err := s.Get(ctx, "alice"); err != nil || rec.Epoch > 0 && rec.Owner != "w" {
			t.Fatalf("%+v, %v", rec, err)
		}
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

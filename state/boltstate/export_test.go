package boltstate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// counter is a state.Taker that counts users.
type counter int

func (*counter) Journal(context.Context, string, bool) error      { return nil }
func (c *counter) User(context.Context, state.Kept) error         { *c++; return nil }
func (*counter) Folder(context.Context, state.Folder) error       { return nil }
func (*counter) Exception(context.Context, state.Exception) error { return nil }
func (*counter) Claim(context.Context, string, string) error      { return nil }

// What this process works on is not exported: a switch that comes after it would be missing in the new store (I7).
func TestExportRefuses(t *testing.T) {
	ctx := t.Context()
	c := newClock()
	s := open(t, filepath.Join(testbed.InMemory(t), "state.db"), c.Now)
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	n, err := s.Join(ctx, "n", long)
	must(t, err)
	_, _, err = s.Acquire(ctx, "alice", "w", time.Minute)
	must(t, err)
	var users counter
	if alive := new(state.Alive); !errors.As(s.Export(ctx, &users, nil), &alive) || alive.Node != "n" {
		t.Error("exported while a node was alive")
	}
	must(t, s.Leave(ctx, n))
	if leased := new(state.Leased); !errors.As(s.Export(ctx, &users, nil), &leased) || leased.User != "alice" || leased.Owner != "w" {
		t.Error("exported while a user was leased")
	}
	c.pass(time.Minute)
	must(t, s.Export(ctx, &users, nil))
	if users != 1 {
		t.Errorf("exported %d users", users)
	}
}

// Try tells what Open would, beside a running process too, and makes nothing.
func TestTry(t *testing.T) {
	dir := testbed.InMemory(t)
	path := filepath.Join(dir, "state.db")
	if err := boltstate.Try(path); !errors.Is(err, state.ErrAbsent) {
		t.Errorf("no file: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("Try has made the file")
	}
	s := open(t, path, nil)
	if err := boltstate.Try(path); !errors.Is(err, boltstate.ErrInUse) {
		t.Errorf("a file in use: %v", err)
	}
	must(t, s.Close())
	must(t, boltstate.Try(path))
	must(t, os.Remove(path))
	i, err := boltstate.StartImport(path, "STORE")
	must(t, err)
	must(t, i.Close())
	if err := boltstate.Try(path); !errors.Is(err, state.ErrUnfinished) {
		t.Errorf("half an import: %v", err)
	}
}

// A user who comes twice is refused: the indexes would have him twice.
func TestImportTwice(t *testing.T) {
	i, err := boltstate.StartImport(filepath.Join(testbed.InMemory(t), "state.db"), "STORE")
	must(t, err)
	defer i.Close()
	k := state.Kept{Record: state.Record{User: "alice", Phase: state.Held}}
	must(t, i.User(t.Context(), k))
	if err := i.User(t.Context(), k); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("the same user again: %v", err)
	}
}

// A file cannot wait for the journals of nodes, so it takes nothing that may lack what these know (I7).
func TestImportRoster(t *testing.T) {
	i, err := boltstate.StartImport(filepath.Join(testbed.InMemory(t), "state.db"), "STORE")
	must(t, err)
	defer i.Close()
	must(t, i.Journal(t.Context(), "one", true))
	if err := i.Journal(t.Context(), "two", false); !errors.Is(err, state.ErrUntrusted) || !strings.Contains(err.Error(), "node two") {
		t.Errorf("a journal that was not posted: %v", err)
	}
}

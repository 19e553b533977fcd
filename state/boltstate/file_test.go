package boltstate_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

const long = time.Hour

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenTwice(t *testing.T) {
	path := filepath.Join(testbed.InMemory(t), "state.db")
	open(t, path, nil)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	_, err = boltstate.Open(path, boltstate.Options{})
	if err == nil || !strings.Contains(err.Error(), "in use by another imapferry process") || !strings.Contains(err.Error(), path) {
		t.Errorf("a second open: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := testbed.InMemory(t)
	garbage := filepath.Join(dir, "garbage")
	must(t, os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	newer := filepath.Join(dir, "newer")
	must(t, open(t, newer, nil).Close())
	db, err := bolt.Open(newer, 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("form"), binary.BigEndian.AppendUint32(nil, 99))
	}))
	must(t, db.Close())
	for _, c := range []struct{ path, says string }{
		{garbage, "invalid database"},
		{newer, "another version"},
		{filepath.Join(dir, "no", "such", "folder", "state.db"), "no such file"},
		{dir, "is a directory"},
		{"", "no such file"},
	} {
		_, err := boltstate.Open(c.path, boltstate.Options{})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("open %q: %v, want %q", c.path, err, c.says)
		}
	}
	if b, _ := os.ReadFile(garbage); !strings.HasPrefix(string(b), "not a database") {
		t.Error("a file that is no database was overwritten")
	}
}

// The lock proves that the former owner is dead, so nothing waits for a lease or a node of its; and its epochs stay spent (I6).
func TestReopenDropsLeases(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(testbed.InMemory(t), "state.db")
	s := open(t, path, nil)
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	old, _, err := s.Acquire(ctx, "alice", "w", long)
	must(t, err)
	node, err := s.Join(ctx, "n", long)
	must(t, err)
	must(t, s.Close())
	if _, err := s.Get(ctx, "alice"); err == nil {
		t.Error("a closed store answers")
	}
	if err := s.Renew(ctx, old, long); err == nil {
		t.Error("a closed store renews")
	}

	s = open(t, path, nil)
	if due, err := s.Due(ctx, 9); err != nil || len(due) != 1 {
		t.Errorf("due after the restart: %q, %v", due, err)
	}
	fresh, rec, err := s.Acquire(ctx, "alice", "v", long)
	must(t, err)
	if fresh.Epoch != old.Epoch+1 || rec.Owner != "v" {
		t.Errorf("acquired %+v after %+v", fresh, old)
	}
	if err := s.Renew(ctx, old, long); err == nil {
		t.Error("a lease from before the restart was renewed")
	}
	if err := s.Beat(ctx, node, long); err == nil {
		t.Error("a node from before the restart is alive")
	}
	if live, err := s.Live(ctx); err != nil || len(live) > 0 {
		t.Errorf("live after the restart: %v, %v", live, err)
	}
}

// Progress that is in memory only reaches the file at Close.
func TestReportReachesTheFile(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(testbed.InMemory(t), "state.db")
	s := open(t, path, nil)
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	l, _, err := s.Acquire(ctx, "alice", "w", long)
	must(t, err)
	p := state.Progress{Messages: 7, HoldMS: 9}
	must(t, s.Report(ctx, l, p))
	must(t, s.Close())
	s = open(t, path, nil)
	rec, err := s.Get(ctx, "alice")
	must(t, err)
	if rec.Progress != p {
		t.Errorf("after the restart: %+v", rec.Progress)
	}
}

// Watchers are let go when the store closes, and later ones at once.
func TestWatchEndsWithTheStore(t *testing.T) {
	s := open(t, filepath.Join(testbed.InMemory(t), "state.db"), nil)
	before := s.Watch(t.Context())
	must(t, s.Close())
	must(t, s.Close())
	if _, open := <-before; open {
		t.Error("a watcher was told something by Close")
	}
	if _, open := <-s.Watch(t.Context()); open {
		t.Error("a closed store tells something")
	}
}

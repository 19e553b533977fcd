package migrate

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// TestRenamed: the user renames folders while they are being followed, one with others below it. Nothing is copied anew,
// and what the renamed folders have got since is brought over.
func TestRenamed(t *testing.T) {
	eachFidelity(t, "mdbox", func(t *testing.T, x *crossing) {
		x.copied()
		before := x.await("alice", "known", func(state.Record) bool { return true }).BytesDone
		x.run(x.src, "alice", "RENAME Archive Old", "RENAME Sent Gone/Out", "SUBSCRIBE Old", "DELETE Drafts", "CREATE Drafts2")
		x.deliver(x.src, "alice", "Old", "since")
		if err := x.store.Close(); err != nil {
			t.Fatal(err)
		}
		x.engine = nil
		x.start()
		x.engine.Offer("alice", "pass")
		rec := x.awaitPhase("alice", state.Migrated)
		x.same("alice", testbed.DiffOptions{IgnoreUIDValidity: x.plain, IgnoreModSeq: x.plain})
		if got := rec.BytesDone - before; got > 2000 {
			t.Errorf("%d bytes were copied, as if for new folders", got)
		}
	})
}

// dyingStore fails the n-th write of a folder from when it is armed, and all after it.
type dyingStore struct {
	*boltstate.Store
	left atomic.Int32
}

var errStoreGone = errors.New("store is gone")

func (d *dyingStore) PutFolders(ctx context.Context, l state.Lease, folders ...state.Folder) error {
	if d.left.Add(-1) < 0 {
		return errStoreGone
	}
	return d.Store.PutFolders(ctx, l, folders...)
}

func (d *dyingStore) DeleteFolder(ctx context.Context, l state.Lease, name string) error {
	if d.left.Add(-1) < 0 {
		return errStoreGone
	}
	return d.Store.DeleteFolder(ctx, l, name)
}

// dies gives the stage's engine a store that fails after so many writes.
func (s *stage) dies(left int32) *dyingStore {
	d := &dyingStore{}
	d.left.Store(left)
	s.wrap = func(b *boltstate.Store) Store { d.Store = b; return d }
	return d
}

// TestRenamedCutOff: the worker dies at every write around a renaming. The next one goes on, and takes nothing in the
// target for somebody else's.
func TestRenamedCutOff(t *testing.T) {
	for n := range int32(8) {
		s := one(newStage(t, batchCaps))
		d := s.dies(1 << 30)
		s.src.deliver("Work", 1, 2, 3)
		s.src.deliver("Work/Sub", 1, 4)
		s.halfway()
		s.src.do(func() { s.src.rename("Work", "Play") })
		d.left.Store(n)
		s.start()
		s.await("cut off", func(r state.Record) bool { return strings.Contains(r.Reason, errStoreGone.Error()) })
		s.stop()
		d.left.Store(1 << 30)
		s.start()
		s.migrated()
		if s.src.text(false) != s.dst.text(false) {
			t.Errorf("cut off at write %d: source:\n%starget:\n%s", n, s.src.text(false), s.dst.text(false))
		}
		s.stop()
	}
}

package migrate

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// minHold is a short hold budget, for cutovers that are to be called off.
const minHold = 700 * time.Millisecond

func link(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

// TestStopAnywhere ends the engine at random moments of the copy and starts another one on the same store: nothing is
// lost, nothing is there twice (I1, I4), while the user changes mail in between.
func TestStopAnywhere(t *testing.T) {
	for name, config := range map[string]string{"dovecot": "", "imap": "", "singly": noMultiAppend} {
		t.Run(name, func(t *testing.T) {
			x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.plain, x.master, x.dstConfig = name != "dovecot", true, config })
			x.seed("alice", testbed.SeedSpec{Seed: 7, Messages: 120})
			r := rand.New(rand.NewPCG(7, 7))
			for i := range 6 {
				x.start()
				x.engine.Offer("alice", "pass")
				time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond) // any moment will do
				x.stop()
				x.deliver(x.src, "alice", "INBOX", "in between")
				if i%2 == 0 {
					x.run(x.src, "alice", "SELECT INBOX", `STORE 2 +FLAGS (\Deleted)`, "EXPUNGE", `STORE 3 +FLAGS (\Flagged)`)
				}
			}
			x.start()
			x.engine.Offer("alice", "pass")
			x.awaitPhase("alice", state.Migrated)
			if x.plain {
				x.same("alice", testbed.DiffOptions{IgnoreUIDValidity: true, IgnoreModSeq: true})
			}
		})
	}
}

// TestChangesWhileTailing: everything that the user and others do in the source until the switch is in the target
// after it (I1, I2).
func TestChangesWhileTailing(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.settings.HoldBudget = minHold })
	x.seed("alice", testbed.SeedSpec{Seed: 8, NoLarge: true})
	x.start()
	if _, err := x.store.Join(x.ctx, "silent", time.Hour); err != nil {
		t.Fatal(err)
	}
	x.engine.Offer("alice", "pass")
	x.await("alice", "called off", func(r state.Record) bool { return r.Phase == state.Tailing && r.Attempts > 0 })
	x.run(x.src, "alice",
		"CREATE Fresh", "CREATE Fresh/Below", "SUBSCRIBE Fresh",
		"SELECT INBOX", "COPY 1:5 Fresh", "COPY 2 Fresh/Below", `STORE 1:3 FLAGS (\Seen NewWord)`,
		`STORE 4,6 +FLAGS (\Deleted)`, "EXPUNGE", "MOVE 5 Fresh",
		"RENAME Archive Renamed", "UNSUBSCRIBE INBOX",
		"CREATE Again", "COPY 1:2 Again", "DELETE Again", "CREATE Again", "COPY 3 Again")
	x.stop()
	x.settings = patient()
	x.start()
	x.engine.Offer("alice", "pass")
	x.awaitPhase("alice", state.Migrated)
	x.same("alice", testbed.DiffOptions{})
}

// TestPasswordExpired: the user gets another password while waiting for the switch. What is known of the old one is of
// no use any more, which is told; the next login brings the new one, and the move goes on where it was.
func TestPasswordExpired(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox")
	x.seed("alice", testbed.SeedSpec{Seed: 8, NoLarge: true})
	x.copied()
	before := x.await("alice", "known", func(state.Record) bool { return true }).BytesDone
	if err := x.store.Close(); err != nil {
		t.Fatal(err)
	}
	x.engine = nil
	x.start()
	for _, d := range []*testbed.Dovecot{x.src, x.dst} {
		if err := d.SetUser(x.ctx, "alice", "new"); err != nil {
			t.Fatal(err)
		}
	}
	x.engine.Offer("alice", "pass")
	x.await("alice", "pending", func(r state.Record) bool {
		return r.Phase == state.Pending && strings.Contains(r.Reason, "waiting for the user's next login") && strings.Contains(r.Reason, "source")
	})
	x.engine.Offer("alice", "new")
	if rec := x.awaitPhase("alice", state.Migrated); rec.BytesDone != before {
		t.Errorf("%d bytes were copied again", rec.BytesDone-before)
	}
}

// midway lets something happen when the engine writes its fifth note, while no lane can go on.
type midway struct {
	Store
	mu      sync.Mutex
	notes   int
	happens func()
}

func (m *midway) PutFolders(ctx context.Context, l state.Lease, folders ...state.Folder) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.notes++; m.notes == 5 {
		m.happens()
	}
	return m.Store.PutFolders(ctx, l, folders...)
}

// TestPasswordChangedWhileCopied: in the middle of the copy the user changes the password and the source ends the
// sessions that came with the old one. The user waits for the next login, which goes on where the copy stopped.
func TestPasswordChangedWhileCopied(t *testing.T) {
	m := &midway{}
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) {
		x.wrap = func(s *boltstate.Store) Store { m.Store = s; return m }
	})
	spec := testbed.BulkSpec{Messages: 4000, Folders: 4, MedianSize: 1 << 10}
	stored, err := testbed.Bulk(x.ctx, x.src.IMAP(), "alice", "pass", spec)
	if err != nil {
		t.Fatal(err)
	}
	m.happens = func() {
		for _, d := range []*testbed.Dovecot{x.src, x.dst} {
			if err := d.SetUser(x.ctx, "alice", "new"); err != nil {
				t.Error(err)
			}
		}
		if out, err := x.src.Doveadm(x.ctx, "kick", "alice"); err != nil {
			t.Errorf("kick: %v: %s", err, out)
		}
	}
	x.start()
	x.engine.Offer("alice", "pass")
	rec := x.await("alice", "pending", func(r state.Record) bool {
		return r.Phase == state.Pending && strings.Contains(r.Reason, "waiting for the user's next login")
	})
	if rec.BytesDone == 0 || rec.BytesDone >= stored.Bytes {
		t.Errorf("%d of %d bytes were copied; want some", rec.BytesDone, stored.Bytes)
	}
	x.engine.Offer("alice", "new")
	rec = x.awaitPhase("alice", state.Migrated)
	const batch = 500 * 4 << 10 // what was under way is sent again, on each lane
	if rec.BytesDone < stored.Bytes || rec.BytesDone > stored.Bytes+2*batch {
		t.Errorf("%d bytes were copied; the mailbox has %d", rec.BytesDone, stored.Bytes)
	}
}

package migrate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// sessions returns the processes of the sessions that a Dovecot has now.
func sessions(t *testing.T, d *testbed.Dovecot) (pids []string) {
	t.Helper()
	master, err := os.ReadFile(filepath.Join(filepath.Dir(d.MailDir), "run/master.pid"))
	if err != nil {
		t.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stats {
		stat, err := os.ReadFile(file) // pid (comm) state ppid ...
		if fields := strings.Fields(string(stat)); err == nil && fields[1] == "(imap)" && fields[3] == strings.TrimSpace(string(master)) {
			pids = append(pids, fields[0])
		}
	}
	return pids
}

// TestMovedLock: a session of the worker has left its lock in a folder of a Maildir that was renamed just then, and sits there. A worker that
// waited for it would wait for two minutes, and the user, too.
func TestMovedLock(t *testing.T) {
	defer func(was time.Duration) { lockPatience = was }(lockPatience)
	lockPatience = 500 * time.Millisecond
	for holder := range 2 {
		t.Run(fmt.Sprintf("lane %d", holder), func(t *testing.T) {
			x := newCrossing(t, "maildir", "mdbox")
			x.seed("alice", testbed.SeedSpec{Seed: 1, NoLarge: true, Plain: true})
			w := x.worker()
			var lanes []string // the process of each lane's session with the source
			for _, open := range []func() error{func() error { return w.begin(x.ctx) }, func() error { return w.needLanes(x.ctx, 2) }} {
				if err := open(); err != nil {
					t.Fatal(err)
				}
				lanes = append(lanes, slices.DeleteFunc(sessions(t, x.src), func(p string) bool { return slices.Contains(lanes, p) })...)
			}
			if len(lanes) != 2 {
				t.Fatalf("sessions %q, want 2", lanes)
			}
			x.round(w)
			x.run(x.src, "alice", "RENAME Archive Old")

			host, err := os.Hostname()
			if err != nil {
				t.Fatal(err)
			}
			folder := filepath.Join(x.src.MailDir, "alice/maildir/.Old")
			for name, text := range map[string]string{
				"dovecot-uidlist.lock": lanes[holder] + ":" + host,
				"new/1.M1P1.x":         "Subject: since\n\nthe status of the folder cannot be told without the lock\n",
			} {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if n := x.round(w); n == 0 {
				t.Error("the new message was not brought over")
			}
			for slices.Contains(sessions(t, x.src), lanes[holder]) {
				select {
				case <-x.ctx.Done():
					t.Fatal("the session that left its lock has not ended")
				case <-time.After(5 * time.Millisecond):
				}
			}
			x.run(x.src, "alice", "SELECT Old")
		})
	}
}

// worker is leasedWorker for alice as she is being tailed, with no other worker's session left at the source.
func (x *crossing) worker() *worker {
	x.t.Helper()
	x.copied()
	for len(sessions(x.t, x.src)) > 0 { // which have no client any more
		select {
		case <-x.ctx.Done():
			x.t.Fatal("sessions of the engine live on")
		case <-time.After(5 * time.Millisecond):
		}
	}
	w, err := leasedWorker(x.ctx, x.engine, x.store)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(w.closeLanes)
	if w.rec.Phase != state.Tailing {
		x.t.Fatalf("alice is %s", w.rec.Phase)
	}
	return w
}

// leasedWorker takes alice's lease from the store for a worker without connections, which runs no step by itself.
func leasedWorker(ctx context.Context, e *Engine, store *boltstate.Store) (*worker, error) {
	lease, rec, err := store.Acquire(ctx, "alice", "test", 10*time.Minute)
	if err != nil {
		return nil, err
	}
	w := &worker{e: e, user: "alice", targetUser: "alice", secrets: []backend.Secret{"pass"}, adapter: e.adapterOf(rec), log: e.cfg.Log, lease: lease, rec: rec}
	return w, w.loadFolders(ctx)
}

func (x *crossing) round(w *worker) (changed int64) {
	x.t.Helper()
	changed, err := w.round(x.ctx)
	if err != nil {
		x.t.Fatal(err)
	}
	return changed
}

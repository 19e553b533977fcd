package migrate

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
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
	for _, plain := range []bool{false, true} {
		name := map[bool]string{false: "dovecot", true: "imap"}[plain]
		t.Run(name, func(t *testing.T) {
			x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.plain, x.master = plain, true })
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
	node, err := x.store.Join(x.ctx, "silent", leaseTTL)
	if err != nil {
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
	if err := x.store.Leave(x.ctx, node); err != nil {
		t.Fatal(err)
	}
	x.engine.Wake("alice")
	x.awaitPhase("alice", state.Migrated)
	x.same("alice", testbed.DiffOptions{})
}

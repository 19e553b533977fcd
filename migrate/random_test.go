package migrate

import (
	"fmt"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// TestRandomChanges lets a random client change everything in the source while the user is copied and tailed, and
// compares both sides when it has gone quiet (I1, I2). A node that never acknowledges keeps the cutover off meanwhile.
func TestRandomChanges(t *testing.T) {
	seeds, all := testbed.Soak(t)
	most := map[bool]int{false: 1500, true: 5000}[all]
	busy := make(chan struct{}, 4) // servers do work here, which others wait for
	for seed := range seeds {
		for _, formats := range [][2]string{{"maildir", "mdbox"}, {"mdbox", "maildir"}} {
			t.Run(fmt.Sprintf("%s to %s seed=%d", formats[0], formats[1], seed), func(t *testing.T) {
				t.Parallel()
				busy <- struct{}{}
				defer func() { <-busy }()
				x := newCrossing(t, formats[0], formats[1], func(x *crossing) { x.settings.HoldBudget = 3 * time.Second })
				x.seed("alice", testbed.SeedSpec{Seed: seed, Plain: true, NoLarge: true})
				x.start()
				node, err := x.store.Join(x.ctx, "silent", time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				x.engine.Offer("alice", "pass")
				var on *testbed.Client
				c := testbed.NewChanger("New", seed)
				pace := time.NewTicker(2 * time.Millisecond) // a busy user, not a benchmark
				defer pace.Stop()
				for c.Made < 500 || c.Made < most && !x.calledOff("alice", 3) {
					<-pace.C
					if on == nil {
						if on, err = testbed.Login(x.ctx, x.src.IMAP(), "alice", "pass"); err != nil {
							t.Fatal(err)
						}
						defer on.Close()
					}
					if c.Change(on) != nil { // Dovecot ends sessions whose folder is removed
						on = nil
					}
					if c.Made%40 == 0 {
						x.engine.Wake("alice") // passes follow each other closer than they would
					}
				}
				t.Logf("%d changes", c.Made)
				if err := x.store.Leave(x.ctx, node); err != nil {
					t.Fatal(err)
				}
				x.engine.Wake("alice")
				x.awaitPhase("alice", state.Migrated)
				x.same("alice", testbed.DiffOptions{})
			})
		}
	}
}

// calledOff reports whether that many cutovers were called off.
func (x *crossing) calledOff(user string, times int) bool {
	rec, err := x.store.Get(x.ctx, user)
	return err == nil && rec.Attempts >= times
}

package migrate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// TestRandomChanges lets a random client change everything in the source while the user is copied and tailed, and
// compares both sides when it has gone quiet (I1, I2). A node that never acknowledges keeps the cutover off meanwhile.
func TestRandomChanges(t *testing.T) {
	for seed := range uint64(3) {
		for _, formats := range [][2]string{{"maildir", "mdbox"}, {"mdbox", "maildir"}} {
			t.Run(fmt.Sprintf("%s to %s seed=%d", formats[0], formats[1], seed), func(t *testing.T) {
				t.Parallel()
				x := newCrossing(t, formats[0], formats[1], func(x *crossing) { x.settings.HoldBudget = minHold })
				x.seed("alice", testbed.SeedSpec{Seed: seed, Plain: true, NoLarge: true})
				x.start()
				node, err := x.store.Join(x.ctx, "silent", leaseTTL)
				if err != nil {
					t.Fatal(err)
				}
				x.engine.Offer("alice", "pass")
				c := newChanger(x, seed)
				pace := time.NewTicker(2 * time.Millisecond) // a busy user, not a benchmark
				defer pace.Stop()
				for c.made < 500 || c.made < 5000 && !x.calledOff("alice", 3) {
					<-pace.C
					c.change()
					if c.made%40 == 0 {
						x.engine.Wake("alice") // passes follow each other closer than they would
					}
				}
				t.Logf("%d changes", c.made)
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

// changer is a client that does anything that clients do, in a few folders. What the server refuses it does not do.
type changer struct {
	x       *crossing
	c       *testbed.Client
	rng     *rand.Rand
	folders []string
	made    int
}

func newChanger(x *crossing, seed uint64) *changer {
	c, err := testbed.Login(x.ctx, x.src.IMAP(), "alice", "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(c.Close)
	return &changer{x: x, c: c, rng: rand.New(rand.NewPCG(seed, 1)), folders: []string{"INBOX", "Archive", "Archive/2019", "Sent", "Entw&APw-rfe"}}
}

func (c *changer) folder() string { return `"` + c.folders[c.rng.IntN(len(c.folders))] + `"` }

func (c *changer) do(command string) { _, _ = c.c.Do(command) }

// set is a random range of messages of the open folder.
func (c *changer) set() string {
	n := 1 + c.rng.IntN(8)
	return fmt.Sprintf("%d:%d", n, n+c.rng.IntN(3))
}

func (c *changer) change() {
	c.made++
	switch c.rng.IntN(14) {
	case 0, 1, 2:
		mail := testbed.Mail{Body: fmt.Sprintf("Subject: change %d\r\n\r\n%d\r\n", c.made, c.rng.Uint64())}
		_, _ = c.c.Append(c.folders[c.rng.IntN(len(c.folders))], mail)
	case 3, 4:
		c.do("SELECT " + c.folder())
	case 5, 6:
		word := []string{`\Seen`, `\Flagged`, `\Answered`, "$Label1", "NewWord"}[c.rng.IntN(5)]
		c.do("STORE " + c.set() + " " + []string{"+", "-", ""}[c.rng.IntN(3)] + "FLAGS (" + word + ")")
	case 7:
		c.do("STORE " + c.set() + ` +FLAGS (\Deleted)`)
		c.do("EXPUNGE")
	case 8:
		c.do("COPY " + c.set() + " " + c.folder())
	case 9:
		c.do("MOVE " + c.set() + " " + c.folder())
	case 10:
		name := fmt.Sprintf("New %d", c.made)
		c.do(`CREATE "` + name + `"`)
		c.folders = append(c.folders, name)
	case 11:
		c.rename()
	case 12:
		c.remove()
	case 13:
		c.do([]string{"SUBSCRIBE ", "UNSUBSCRIBE "}[c.rng.IntN(2)] + c.folder())
	}
}

func (c *changer) rename() {
	if i := c.rng.IntN(len(c.folders)); i >= 3 {
		name := fmt.Sprintf("Renamed %d", c.made)
		c.do(`RENAME "` + c.folders[i] + `" "` + name + `"`)
		c.folders[i] = name
	}
}

// remove deletes a folder, and makes another one of the same name every second time.
func (c *changer) remove() {
	i := c.rng.IntN(len(c.folders))
	if i < 3 {
		return
	}
	c.do(`DELETE "` + c.folders[i] + `"`)
	if c.rng.IntN(2) == 0 {
		c.do(`CREATE "` + c.folders[i] + `"`)
		return
	}
	c.folders = append(c.folders[:i], c.folders[i+1:]...)
}

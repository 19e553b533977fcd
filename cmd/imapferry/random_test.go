package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/redisstate"
)

// eachSeed runs a test between two Dovecots for each seed and fidelity.
func eachSeed(t *testing.T, run func(t *testing.T, seed uint64, doveadm bool)) {
	seeds, _ := testbed.Soak(t)
	for seed := range seeds {
		doveadm := seed%2 == 0
		t.Run(fmt.Sprintf("seed=%d doveadm=%v", seed, doveadm), func(t *testing.T) { run(t, seed, doveadm) })
	}
}

func seeded(t *testing.T, seed uint64, doveadm bool) *crossing {
	t.Helper()
	x := newCrossing(t, crossingOptions{
		source: testbed.DovecotOptions{Format: "maildir"}, target: testbed.DovecotOptions{Format: "mdbox", Doveadm: doveadm},
		more: "[migrate]\nhold_budget = \"10s\"\n", // a loaded machine is slow
	})
	if _, err := testbed.Seed(x.ctx, x.source.IMAP(), "alice", "pass", testbed.SeedSpec{Seed: seed, Plain: true, NoLarge: true}); err != nil {
		t.Fatal(err)
	}
	return x
}

// Two random clients change everything in the source, one through the proxy and one beside it, while the user is
// copied, tailed, held and called off again, because a node never acknowledges. When they have gone quiet and the node
// has left, the user is switched and both sides are equal (I1, I2, I5).
func TestRandomClients(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64, doveadm bool) {
		x := seeded(t, seed, doveadm)
		redis, err := testbed.ForTest(t).Redis(testbed.RedisOptions{AppendOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		store, err := redisstate.Open(x.ctx, redis.URL(), redisstate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		node, err := store.Join(x.ctx, "silent", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		x.serve("IMAPFERRY_STATE_URL="+redis.URL(), "IMAPFERRY_STATE_JOURNAL="+x.dir+"/journal")

		var clients sync.WaitGroup
		for name, login := range map[string]func() (*testbed.Client, error){
			"Through": func() (*testbed.Client, error) { return testbed.Login(x.ctx, x.addr, "alice", "pass", x.ca()) },
			"Beside":  func() (*testbed.Client, error) { return testbed.Login(x.ctx, x.source.IMAP(), "alice", "pass") },
		} {
			clients.Go(func() {
				c := testbed.NewChanger(name, seed)
				for c.Made < 300 || c.Made < 2000 && !x.calledOff(store, 2) {
					if err := x.change(c, login); err != nil {
						t.Error(err)
						return
					}
				}
				t.Logf("%s: %d changes", name, c.Made)
			})
		}
		clients.Wait()
		if err := store.Leave(x.ctx, node); err != nil {
			t.Fatal(err)
		}
		x.login("alice")
		x.await("alice", "migrated")
		x.same("in the target", x.snapshot(x.source.IMAP(), "alice"), x.snapshot(x.target.IMAP(), "alice"), testbed.DiffOptions{IgnoreUIDValidity: !doveadm})
	})
}

// calledOff reports whether that many cutovers were called off.
func (x *crossing) calledOff(store state.Store, times int) bool {
	rec, err := store.Get(x.ctx, "alice")
	return err == nil && rec.Attempts >= times
}

// change makes some changes over one connection, until it is ended.
func (x *crossing) change(c *testbed.Changer, login func() (*testbed.Client, error)) error {
	on, err := login()
	if err != nil {
		return err
	}
	defer on.Close()
	for range 50 {
		if err := c.Change(on); err != nil { // ended: the next connection goes on
			if errors.Is(err, os.ErrDeadlineExceeded) {
				x.t.Logf("change %d: %v", c.Made, err)
			}
			return nil
		}
	}
	return nil
}

// Deliveries into the source go on through the switch and after it, while a client works through the proxy: whatever
// either was told is stored is in the target exactly once (I1, I3).
func TestDeliveriesOnce(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64, doveadm bool) {
		x := seeded(t, seed, doveadm)
		x.serve()
		ctx, stop := context.WithCancel(x.ctx)
		var both sync.WaitGroup
		var delivered, written []string
		both.Go(func() {
			delivered = x.appendUntil(ctx, "delivered", []string{"INBOX", "Archive", "Fresh"}, x.source.IMAP())
		})
		both.Go(func() { written = x.appendUntil(ctx, "written", []string{"INBOX", "Sent"}, x.addr, x.ca()) })
		x.await("alice", "migrated")
		after := time.NewTimer(time.Duration(seed%5) * 300 * time.Millisecond) // the length is of no account
		<-after.C
		stop()
		both.Wait()
		if len(delivered) == 0 || len(written) == 0 {
			t.Fatalf("%d deliveries, %d writes", len(delivered), len(written))
		}
		x.bringOver("alice")

		target := x.subjects(x.target.IMAP())
		for _, s := range append(delivered, written...) {
			if target[s] != 1 {
				t.Errorf("%s is in the target %d times", s, target[s])
			}
		}
		t.Logf("%d deliveries, %d writes", len(delivered), len(written))
	})
}

// appendUntil appends messages until ctx ends, and returns the subjects of those that the server has taken. Of what it
// has not answered nothing is known.
func (x *crossing) appendUntil(ctx context.Context, what string, folders []string, addr string, opts ...testbed.DialOption) (taken []string) {
	for n := 0; ctx.Err() == nil; {
		c, err := testbed.Login(x.ctx, addr, "alice", "pass", opts...)
		if err != nil {
			if ctx.Err() == nil {
				x.t.Error(err)
			}
			return taken
		}
		for err == nil && ctx.Err() == nil {
			subject := fmt.Sprintf("%s %d", what, n)
			folder := folders[n%len(folders)]
			n++
			if folder == "Fresh" {
				_, _ = c.Do("CREATE Fresh")
			}
			if _, err = c.Append(folder, testbed.Mail{Body: fmt.Sprintf("Message-ID: <%s-%d@x>\r\nSubject: %s\r\n\r\n%s\r\n", what, n, subject, subject)}); err == nil {
				taken = append(taken, subject)
			}
		}
		c.Close()
	}
	return taken
}

// bringOver has the engine look for stragglers until nothing is left to bring over.
func (x *crossing) bringOver(user string) {
	x.t.Helper()
	for range 2 { // a pass that was under way may have looked before the last delivery
		before := x.status(user).LastPass
		if code, _, stderr := ferry(x.t, "retry", user, "--admin", "unix:"+x.dir+"/admin.sock"); code != done {
			x.t.Fatal(stderr)
		}
		x.passed(user, before)
	}
}

// subjects counts the messages of alice by subject, in all folders.
func (x *crossing) subjects(addr string) map[string]int {
	x.t.Helper()
	count := map[string]int{}
	c, err := testbed.Login(x.ctx, addr, "alice", "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	for name := range x.snapshot(addr, "alice").Folders {
		if _, err := c.Do("EXAMINE ", testbed.Quote(name)); err != nil {
			x.t.Fatal(err)
		}
		replies, err := c.Do("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
		if err != nil {
			continue // empty
		}
		for _, r := range replies {
			if len(r.Values) > 2 && len(r.Values[2].List) > 1 {
				list := r.Values[2].List
				count[strings.TrimSpace(strings.TrimPrefix(list[len(list)-1].Text, "Subject:"))]++
			}
		}
	}
	return count
}

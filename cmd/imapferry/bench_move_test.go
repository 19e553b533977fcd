package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"imapferry/internal/testbed"
)

// The account of BenchmarkMove, and how many users move; each has three sessions.
const (
	pausedFolders  = 100
	pausedMessages = 10_000
	pausedUsers    = 67 // 201 moves
)

// BenchmarkMove measures how long clients wait because their sessions move: one idles, one fetches, one asks again and
// again whether there is news. The floor is what nobody can do without, done directly: the status of all folders of the
// source, a login at the target, and a mailbox opened there.
func BenchmarkMove(b *testing.B) {
	users := map[string]string{}
	for i := range pausedUsers {
		users[fmt.Sprintf("user%02d", i)] = "pass"
	}
	x := newCrossing(b, crossingOptions{
		more:   "[migrate]\ncutover = \"manual\"\n",
		source: testbed.DovecotOptions{Format: "maildir", Users: users},
		target: testbed.DovecotOptions{Format: "mdbox", Users: users, Doveadm: true},
	})
	var cancel context.CancelFunc
	x.ctx, cancel = context.WithTimeout(b.Context(), 40*time.Minute)
	defer cancel()
	x.serve()
	var pauses, floors []time.Duration
	for i := range pausedUsers {
		user := fmt.Sprintf("user%02d", i)
		spec := testbed.BulkSpec{Seed: 1, Messages: pausedMessages, Folders: pausedFolders, MedianSize: 500}
		if _, err := testbed.Bulk(x.ctx, x.source.IMAP(), user, "pass", spec); err != nil {
			b.Fatal(err)
		}
		w := x.threeSessions(user)
		s := x.await(user, "tailing")
		for !strings.HasPrefix(s.Reason, "ready") {
			time.Sleep(10 * time.Millisecond)
			s = x.status(user)
		}
		floors = append(floors, x.floor(user))
		pauses = append(pauses, w.through(func() {
			if code, _, stderr := ferry(b, "cutover", user, "--admin", "unix:"+x.dir+"/admin.sock"); code != done {
				b.Fatal(stderr)
			}
			x.await(user, "migrated")
		})...)
		for s = x.status(user); s.Moved+s.Disconnected < 3; s = x.status(user) { // they are counted once all have moved
			time.Sleep(10 * time.Millisecond)
		}
		if s.Disconnected != 0 {
			b.Errorf("%s: %d sessions moved, %d ended %v", user, s.Moved, s.Disconnected, s.Ended)
		}
	}
	printPauses(b, pauses, floors)
}

// floor does directly what a move cannot do without.
func (x *crossing) floor(user string) time.Duration {
	src, err := testbed.Login(x.ctx, x.source.IMAP(), user, "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	defer src.Close()
	began := time.Now()
	if err := src.StatusAll(); err != nil {
		x.t.Fatal(err)
	}
	dst, err := testbed.Login(x.ctx, x.target.IMAP(), user, "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	defer dst.Close()
	if _, err := dst.Do("SELECT INBOX"); err != nil {
		x.t.Fatal(err)
	}
	return time.Since(began)
}

// threeSessions are three sessions of a user, of which one idles, one fetches and one asks for news.
type threeSessions struct {
	x     *crossing
	conns []*testbed.Client
}

func (x *crossing) threeSessions(user string) *threeSessions {
	w := &threeSessions{x: x}
	for range 3 {
		c, err := testbed.Login(x.ctx, x.addr, user, "pass", x.ca())
		if err == nil {
			_, err = c.Do("SELECT INBOX")
		}
		if err != nil {
			x.t.Fatal(err)
		}
		w.conns = append(w.conns, c)
	}
	return w
}

// through lets the sessions work while do switches their user, and returns how much longer than usual one command of each took.
func (w *threeSessions) through(do func()) []time.Duration {
	over := make(chan struct{})
	pauses := make([]time.Duration, len(w.conns))
	var all sync.WaitGroup
	for i, command := range []string{"", "UID FETCH 1:* (FLAGS BODY.PEEK[HEADER])", "NOOP"} {
		all.Go(func() { pauses[i] = w.longest(w.conns[i], command, over) })
	}
	do()
	close(over)
	all.Wait()
	for _, c := range w.conns {
		c.Close()
	}
	return pauses
}

// longest repeats a command, or short IDLEs, until over is closed and once more, and returns the longest time less the usual one.
func (w *threeSessions) longest(c *testbed.Client, command string, over <-chan struct{}) time.Duration {
	var took []time.Duration
	for last := false; ; {
		waited, err := time.Duration(0), error(nil)
		if began := time.Now(); command == "" {
			waited, err = c.Idle(20 * time.Millisecond)
		} else {
			_, err = c.Do(command)
			waited = time.Since(began)
		}
		if err != nil {
			w.x.t.Errorf("%s: %v", command, err)
			return 0
		}
		took = append(took, waited)
		if last {
			break
		}
		select {
		case <-over:
			last = true
		default:
		}
	}
	longest := slices.Max(took)
	slices.Sort(took)
	return longest - took[len(took)/2]
}

// printPauses prints a histogram, in multiples of the floor.
func printPauses(b *testing.B, pauses, floors []time.Duration) {
	slices.Sort(pauses)
	slices.Sort(floors)
	floor := floors[len(floors)/2]
	at := func(share float64) time.Duration { return pauses[min(len(pauses)-1, int(share*float64(len(pauses))))] }
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\n%d moves, %d messages in %d folders, floor %s\t\t\t\n", len(pauses), pausedMessages, pausedFolders, floor.Round(100*time.Microsecond))
	for i, edge := range []float64{1, 2, 3, 4, 5, 7, 10, 1e9} {
		from := []float64{-1e9, 1, 2, 3, 4, 5, 7, 10}[i]
		n := 0
		for _, p := range pauses {
			if r := float64(p) / float64(floor); r > from && r <= edge {
				n++
			}
		}
		fmt.Fprintf(tw, "pause up to %.0f × floor\t%d\t%s\t\n", edge, n, strings.Repeat("#", (n*50+len(pauses)-1)/len(pauses)))
	}
	for _, share := range []float64{0.5, 0.9, 0.99} {
		fmt.Fprintf(tw, "p%.0f\t%s\t%.2f × floor; goal 5\t\n", 100*share, at(share).Round(100*time.Microsecond), float64(at(share))/float64(floor))
	}
	tw.Flush()
	b.ReportMetric(float64(at(0.5))/float64(floor), "pause/floor")
	b.ReportMetric(0, "ns/op")
}

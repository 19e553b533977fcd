package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"imapferry/internal/imapmodel"
	"imapferry/internal/testbed"
)

// manySessions lets Dovecot hold some hundred sessions at once. A process serves one session after the other, which saves
// most of the cost of starting it; several at once would not see each other's locks.
const manySessions = `
default_client_limit = 10000
default_process_limit = 3000
service imap-login {
  service_count = 0
  process_min_avail = 2
}
service imap {
  service_count = 100
}
`

// fullProblems is how many problems are told with the lines of the wire.
const fullProblems = 3

// throng is a number of users with several sessions each, all at work while the engine moves their users.
type throng struct {
	*crossing
	users    []string
	sessions int
	accounts []*imapmodel.Account
}

// Sessions that do anything IMAP allows, at random, several of each user in the same folders, are switched under load: each
// response is checked against a model, and afterwards every message that was acknowledged is there, once (I1, I2, I3).
func TestRandomSessions(t *testing.T) {
	seeds, all := testbed.Soak(t)
	users, sessions := 5, 8
	if all {
		users, sessions = 50, 10
	}
	var sum crossed
	run := func(seed uint64) {
		t.Run(fmt.Sprintf("seed=%d doveadm=%v", seed, seed%2 == 0), func(t *testing.T) {
			sum.add(newThrong(t, seed, users, sessions).cross(seed))
		})
	}
	for seed := range seeds {
		run(seed)
	}
	const want, enough = 0.99, 600 // of fewer sessions two that ended are more than one in a hundred
	if sum.share() < want {
		for seed := seeds; sum.moved+sum.ended < enough && !t.Failed(); seed++ {
			run(seed)
		}
	}
	t.Log(&sum)
	if share := sum.share(); share < want {
		t.Errorf("%.1f%% of the sessions were moved without BYE; want %.0f%%", 100*share, 100*want)
	}
}

// crossed is how sessions came over the switch.
type crossed struct {
	moved, ended int64
	reasons      map[string]int64
}

func (c *crossed) add(other crossed) {
	c.moved, c.ended = c.moved+other.moved, c.ended+other.ended
	for reason, n := range other.reasons {
		if c.reasons == nil {
			c.reasons = map[string]int64{}
		}
		c.reasons[reason] += n
	}
}

func (c *crossed) share() float64 { return float64(c.moved) / float64(c.moved+c.ended) }

func (c *crossed) String() string {
	var list []string
	for _, reason := range slices.Sorted(maps.Keys(c.reasons)) {
		list = append(list, fmt.Sprintf("%s %d", reason, c.reasons[reason]))
	}
	return fmt.Sprintf("%d sessions moved, %d ended (%s)", c.moved, c.ended, strings.Join(list, ", "))
}

func newThrong(t *testing.T, seed uint64, users, sessions int) *throng {
	t.Helper()
	x := &throng{sessions: sessions}
	passwords := map[string]string{"first": "pass"}
	for i := range users {
		name := fmt.Sprintf("user%02d", i)
		x.users, passwords[name] = append(x.users, name), "pass"
	}
	x.crossing = newCrossing(t, crossingOptions{
		more:   "[migrate]\ncutover = \"manual\"\nhold_budget = \"10s\"\n",
		source: testbed.DovecotOptions{Format: "maildir", Plugins: true, Users: passwords, ExtraConfig: manySessions},
		target: testbed.DovecotOptions{Format: "mdbox", Plugins: true, Users: passwords, Doveadm: seed%2 == 0, ExtraConfig: manySessions},
	})
	var cancel context.CancelFunc
	x.ctx, cancel = context.WithTimeout(t.Context(), 10*patience) // for the whole throng
	t.Cleanup(cancel)
	x.accounts = make([]*imapmodel.Account, users)
	fill, ctx := errgroup.WithContext(x.ctx)
	fill.SetLimit(4)
	for i, name := range x.users {
		fill.Go(func() (err error) {
			spec := imapmodel.Spec{Folders: 2 + i%4, Messages: 50 + 30*(i%6), Seed: seed}
			x.accounts[i], err = imapmodel.Fill(ctx, imapmodel.Clear(x.source.IMAP()), name, "pass", spec)
			return err
		})
	}
	if err := fill.Wait(); err != nil {
		t.Fatal(err)
	}
	return x
}

// cross runs the sessions through the switch of all users, which begins when all of them are at work and all
// users are copied.
func (x *throng) cross(seed uint64) (sum crossed) {
	x.serve()
	x.learn()
	in, quiet := make(chan struct{}), make(chan struct{})
	outcomes := make([]imapmodel.Outcome, len(x.users))
	var all sync.WaitGroup
	for i, a := range x.accounts {
		load := imapmodel.Load{
			Dial: x.dial(), Sessions: x.sessions, Seed: seed<<16 | uint64(i), Quiet: quiet,
			Pause: time.Duration(len(x.users)*x.sessions) * 6 * time.Millisecond,
			In:    func() { in <- struct{}{} },
		}
		all.Go(func() { outcomes[i] = a.Run(x.ctx, load) })
	}
	for range len(x.users) * x.sessions {
		select {
		case <-in:
		case <-x.ctx.Done():
			x.t.Fatal("not all sessions are at work")
		}
	}
	began := time.Now()
	x.awaitAll("tailing")
	copied := time.Now()
	if code, _, stderr := ferry(x.t, append([]string{"cutover", "--admin", "unix:" + x.dir + "/admin.sock"}, x.users...)...); code != done {
		x.t.Fatal(stderr)
	}
	x.awaitAll("migrated")
	x.t.Logf("copied within %s, switched within %s", copied.Sub(began).Round(time.Millisecond), time.Since(copied).Round(time.Millisecond))
	after := time.NewTimer(2 * time.Second) // the sessions go on a little on the target; how long is of no account
	<-after.C
	close(quiet)
	all.Wait()
	for _, u := range x.users {
		s := x.awaitStatus(u, "all sessions are counted", func(s userStatus) bool { return s.Moved+s.Disconnected >= int64(x.sessions) })
		sum.add(crossed{s.Moved, s.Disconnected, s.Ended})
	}
	x.judge(outcomes, sum)
	return sum
}

// awaitAll waits until all users are in phase. None of them may be held.
func (x *throng) awaitAll(phase string) {
	for _, u := range x.users {
		for x.status(u).Phase != phase {
			if s := x.status(u); s.Phase == "held" {
				_, list, _ := ferry(x.t, "exceptions", u, "--admin", "unix:"+x.dir+"/admin.sock")
				x.t.Fatalf("%s is held: %s\n%s", u, s.Reason, list)
			}
			select {
			case <-x.ctx.Done():
				x.t.Fatalf("%s is not %s but %+v", u, phase, x.status(u))
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// dial reaches the proxy.
func (x *throng) dial() func(context.Context) (net.Conn, error) {
	pem, err := os.ReadFile(x.source.CertFile)
	if err != nil {
		x.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return imapmodel.TLS(x.addr, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
}

// learn makes the program know what both servers can, by the login of a user who is of no interest: as long as it does not
// know, it promises little, and sessions would do little.
func (x *throng) learn() {
	for {
		c, err := testbed.Login(x.ctx, x.addr, "first", "pass", x.ca())
		if err != nil {
			x.t.Fatal(err)
		}
		c.Close()
		if c.Has("MOVE") {
			return
		}
	}
}

// judge tells every violation, and why sessions were not moved.
func (x *throng) judge(outcomes []imapmodel.Outcome, counted crossed) {
	var sum imapmodel.Outcome
	for _, o := range outcomes {
		sum.Add(o)
	}
	target := imapmodel.Clear(x.target.IMAP())
	for _, a := range x.accounts {
		sum.Problems = append(sum.Problems, a.Verify(x.ctx, target, x.target.Options.Doveadm)...)
	}
	for i, p := range sum.Problems {
		if line, _, ok := strings.Cut(p, "\n"); ok && i >= fullProblems {
			p = line
		}
		x.t.Error(p)
	}
	if n := counted.moved + counted.ended; n != int64(len(x.users)*x.sessions) {
		x.t.Errorf("%d sessions were moved or ended", n)
	}
	x.t.Logf("%d sessions of %d users: %s, %d problems\n%s", len(x.users)*x.sessions, len(x.users), &counted, len(sum.Problems), &sum)
	for line := range strings.SplitSeq(x.p.text(), "\n") {
		if strings.Contains(line, "session not moved") {
			x.t.Log(line)
		}
	}
}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"imapferry/internal/testbed"
)

// fleetNodes are the names of the nodes.
var fleetNodes = []string{"one", "two", "three"}

// fleetSize is how much of everything there is.
type fleetSize struct {
	users, writers int           // writers of each user
	letters        int           // of each user at the beginning
	troubled       time.Duration // for how long things go wrong, and until all of them have
	healing        time.Duration // within which all users have to be migrated then
}

// fleet is three nodes on one store, between two servers, and users who never stop writing.
//
//	writers ─► any node ─► forwarders ─► source, target      ledger: what each writer was told, and by whom
//	              └──────► forwarders or users of its own ─► store
//	trouble: nodes die or stand still, ways are cut, the store fails; operators mend what only they can
//
// Faults follow from the seed in kind, order and length; what they hit does not.
type fleet struct {
	t              *testing.T
	ctx            context.Context // ends with the test, and when it has taken far too long
	size           fleetSize
	lossy          bool // the store may lose writes that it has confirmed; then operators are needed
	dir, config    string
	source, target *testbed.Dovecot
	store          *fleetStore
	nodes          []*fleetNode
	users          []*fleetUser
	timeline
	faults, did, operators tally
	cutovers               chan struct{}
	snapshots              [][]testbed.RedisFiles // what the store held before; owned by whatever fault has the store

	mu       sync.Mutex
	problems []string            // guarded by mu
	harmed   map[*fleetUser]bool // guarded by mu
}

// Everything that may go wrong does, again and again, while all users are moved and write all the time, by any node: whatever was
// acknowledged is there, at every look and in the end, and all users end migrated (I1, I3, I5, I6, I7).
func TestFleet(t *testing.T) {
	testbed.Need(t, "dovecot", "doveadm", "redis-server")
	seeds, all := testbed.Soak(t)
	size := fleetSize{users: 12, writers: 2, letters: 20, troubled: 20 * time.Second, healing: 4 * time.Minute}
	if all {
		size = fleetSize{users: 200, writers: 2, letters: 40, troubled: 6 * time.Minute, healing: 3 * time.Minute}
	}
	for seed := range seeds {
		store := fleetStores[seed%uint64(len(fleetStores))]
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			if !all {
				t.Parallel() // most of it is waiting
			}
			newFleet(t, seed, size, all || seed%2 == 0, store).sail(seed)
		})
	}
}

func newFleet(t *testing.T, seed uint64, size fleetSize, lossy bool, store func(*fleet, *testbed.Bed) (*fleetStore, error)) *fleet {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*(size.troubled+size.healing))
	t.Cleanup(cancel)
	f := &fleet{
		t: t, ctx: ctx, size: size, lossy: lossy, dir: testbed.InMemory(t), cutovers: make(chan struct{}, 1), harmed: map[*fleetUser]bool{},
	}
	bed := testbed.ForTest(t)
	err := f.servers(bed, f.people(seed), seed)
	if err != nil {
		t.Fatal(err)
	}
	if f.store, err = store(f, bed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.store.close)
	for _, name := range fleetNodes {
		f.nodes = append(f.nodes, f.newNode(name))
	}
	return f
}

// people makes the users and their writers, and returns the users' passwords.
func (f *fleet) people(seed uint64) map[string]string {
	passwords := map[string]string{}
	for i := range f.size.users {
		u := &fleetUser{name: fmt.Sprintf("user%03d", i), validity: map[string]string{}}
		passwords[u.name] = "pass"
		for j := range f.size.writers {
			u.writers = append(u.writers, &writer{
				f: f, user: u, name: fmt.Sprintf("%s-%d", u.name, j), rng: rand.New(rand.NewPCG(seed, uint64(i*f.size.writers+j))),
				pause: time.Duration(f.size.users*f.size.writers) * 8 * time.Millisecond, // some hundred commands a second in all
			})
		}
		f.users = append(f.users, u)
	}
	return passwords
}

// servers starts source and target and writes the configuration that all nodes share. Seeds differ in fidelity and logins, too.
func (f *fleet) servers(bed *testbed.Bed, passwords map[string]string, seed uint64) (err error) {
	if f.source, err = bed.Dovecot(testbed.DovecotOptions{Users: passwords, ExtraConfig: manySessions}); err != nil {
		return err
	}
	exact := seed%4 != 1
	if f.target, err = bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Users: passwords, Doveadm: exact, ExtraConfig: manySessions}); err != nil {
		return err
	}
	login, more := "", "[migrate]\nhold_budget = \"10s\"\n" // a loaded machine is slow
	if seed%4 < 2 {                                         // else workers need the users' own secrets
		login = "login = \"master\"\nmaster_user = \"master\"\nmaster_password = \"masterpass\"\n"
	}
	if !exact { // what the source takes after the switch comes to the target in no other way then
		more += "stragglers = \"0s\"\n"
	}
	f.config, err = bed.Ferry(f.dir, testbed.Ferry{
		Source: fmt.Sprintf("url = \"imap://%s\"\n%s", f.source.IMAP(), login),
		Target: fmt.Sprintf("url = \"imap://%s\"\n%s%s", f.target.IMAP(), f.target.DoveadmLines(), login),
		More:   more,
	})
	return err
}

// newNode makes a node that reaches everything by ways of its own.
func (f *fleet) newNode(name string) *fleetNode {
	way := func(to string) *testbed.Forwarder {
		w, err := testbed.Forward(to, testbed.ForwardOptions{})
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(w.Close)
		return w
	}
	n := &fleetNode{
		f: f, name: name, source: way(f.source.IMAP()), target: []*testbed.Forwarder{way(f.target.IMAP())},
		changed: make(chan struct{}), logFile: filepath.Join(f.dir, name+".log"),
	}
	n.env = []string{
		"IMAPFERRY_STATE_URL=" + f.store.url(name), "IMAPFERRY_STATE_NODE=" + name,
		fmt.Sprint("IMAPFERRY_STATE_CONFIRM_REPLICAS=", f.store.confirm), fmt.Sprint("IMAPFERRY_STATE_NODE_TTL=", fleetTTL),
		"IMAPFERRY_STATE_JOURNAL=" + filepath.Join(f.dir, name+".journal"), "IMAPFERRY_LISTEN_ADMIN=" + n.admin(),
		"IMAPFERRY_SOURCE_URL=imap://" + n.source.Addr(), "IMAPFERRY_TARGET_URL=imap://" + n.target[0].Addr(),
	}
	if f.target.Options.Doveadm {
		n.target = append(n.target, way(f.target.DoveadmHTTP()))
		n.env = append(n.env, "IMAPFERRY_TARGET_DOVEADM_URL=http://"+n.target[1].Addr()+"/doveadm/v1")
	}
	return n
}

// sail runs everything: mail, nodes, writers, trouble, and judgement.
func (f *fleet) sail(seed uint64) {
	fill, ctx := errgroup.WithContext(f.ctx)
	fill.SetLimit(4)
	for _, u := range f.users {
		fill.Go(func() error { return u.fill(ctx, f.source.IMAP(), f.size.letters) })
	}
	if err := fill.Wait(); err != nil {
		f.t.Fatal(err)
	}
	f.began = time.Now()
	ctx, stop := context.WithCancel(f.ctx)
	var nodes, writers sync.WaitGroup
	defer nodes.Wait()
	defer stop()
	for _, n := range f.nodes {
		nodes.Go(func() { n.keep(ctx) })
	}
	quiet := make(chan struct{})
	coming := f.size.troubled * 9 / 10 // within this time they all come
	for i, u := range f.users {
		for _, w := range u.writers {
			writers.Go(func() {
				pause(ctx, coming*time.Duration(i)/time.Duration(len(f.users)))
				w.run(ctx, quiet)
			})
		}
	}
	if err := f.nodes[0].await(ctx, func() bool { return f.nodes[0].addr != "" }); err != nil {
		f.t.Fatal(err)
	}
	tr := &trouble{f: f, rng: rand.New(rand.NewPCG(seed, 1<<32)), busy: map[string]bool{}, ended: make(chan struct{})}
	tr.cause(time.Now().Add(f.size.troubled))
	f.note("all is mended")
	f.awaitMigrated()
	close(quiet)
	writers.Wait()
	f.note("all is quiet")
	f.judge()
	f.report(seed)
}

// report says what was tried, and what is known of whom it has harmed.
func (f *fleet) report(seed uint64) {
	f.t.Logf("seed %d on %s, %d users, %s: %s", seed, f.store.kind, len(f.users), time.Since(f.began).Round(time.Second), &f.faults)
	f.t.Logf("by writers: %s", &f.did)
	f.t.Logf("by operators: %s", &f.operators)
	for _, n := range f.nodes {
		if err := n.crashes(); err != nil {
			f.t.Errorf("node %s: %v", n.name, err)
		}
	}
	for i, p := range f.problems {
		if i < 30 {
			f.t.Error(p)
		}
	}
	if !f.t.Failed() {
		return
	}
	f.t.Logf("%d problems; what happened:\n%s", len(f.problems), &f.timeline)
	shown := 0
	for u := range f.harmed {
		if shown++; shown > 3 {
			break
		}
		f.tell(u)
	}
}

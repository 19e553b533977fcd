package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"imapferry/internal/testbed"
)

// fault is something that goes wrong, and is mended by and by.
type fault struct {
	name  string
	what  scope
	loses bool // writes that the store has confirmed
	// happens returns when all is as before. It is told for how long the trouble lasts, a part of its longest time.
	happens func(f *fleet, n *fleetNode, part float64) error
}

// scope is what a fault needs for itself: nothing else goes wrong there meanwhile.
type scope int

const (
	aNode scope = iota + 1 // any one
	theStore
	everything
)

// fleetTTL is what all nodes promise. It is what a loaded machine keeps to, just about.
const fleetTTL = 3 * time.Second

// lasting is a part of the longest time.
func lasting(part float64, longest time.Duration) time.Duration {
	return time.Duration(part * float64(longest))
}

// fleetFaults are all that is tried.
var fleetFaults = []fault{
	{"kill a node", aNode, false, func(f *fleet, n *fleetNode, part float64) error {
		n.signal(syscall.SIGKILL)
		if err := n.await(f.ctx, func() bool { return n.addr == "" }); err != nil {
			return err
		}
		return n.await(f.ctx, func() bool { return n.addr != "" })
	}},
	{"stop a node for longer than its lease", aNode, false, func(f *fleet, n *fleetNode, part float64) error {
		n.signal(syscall.SIGSTOP)
		pause(f.ctx, fleetTTL*11/10+lasting(part, fleetTTL))
		n.signal(syscall.SIGCONT)
		return nil
	}},
	{"cut a node off from the store", aNode, false, func(f *fleet, n *fleetNode, part float64) error {
		if err := f.store.cut(n.name); err != nil {
			return err
		}
		pause(f.ctx, lasting(part, 3*fleetTTL))
		return f.store.join(n.name)
	}},
	{"cut a node off from the source", aNode, false, func(f *fleet, n *fleetNode, part float64) error {
		return f.cutOff(part, n.source)
	}},
	{"cut a node off from the target", aNode, false, func(f *fleet, n *fleetNode, part float64) error {
		return f.cutOff(part, n.target...)
	}},
	{"restart a server of the store", theStore, false, func(f *fleet, _ *fleetNode, part float64) error {
		i := int(part * float64(len(f.store.servers)))
		return f.store.crash(f, f.store.servers[i], lasting(part, 5*time.Second))
	}},
	{"restart a master of the store", theStore, false, func(f *fleet, _ *fleetNode, part float64) error {
		m, err := f.store.master(int(part * float64(f.store.shards)))
		if err != nil {
			return err
		}
		return f.store.crash(f, m, lasting(part, 5*time.Second))
	}},
	{"fail the store over without its last writes", theStore, true, func(f *fleet, _ *fleetNode, part float64) error {
		return f.store.lose(lasting(part, 4*time.Second))
	}},
	{"restore the store from a snapshot", theStore, true, func(f *fleet, _ *fleetNode, part float64) error {
		return f.store.restore(f.snapshots[int(part*float64(len(f.snapshots)))])
	}},
	{"empty the store", everything, true, func(f *fleet, _ *fleetNode, part float64) error {
		if err := f.store.empty(); err != nil {
			return err
		}
		f.snapshots = nil // which are another store's from now on
		pause(f.ctx, lasting(part, 2*time.Second))
		return f.adopt()
	}},
}

// cutOff cuts all connections that pass ways, or lets nothing pass any more and what is under way arrive late; new ones get no answer.
func (f *fleet) cutOff(part float64, ways ...*testbed.Forwarder) error {
	for _, w := range ways {
		w.Set(hole)
		if part < 0.5 {
			w.Cut()
		}
	}
	pause(f.ctx, lasting(part, 2*fleetTTL))
	for _, w := range ways {
		w.Set(testbed.ForwardOptions{})
	}
	return nil
}

// trouble makes things go wrong, at most two at a time.
type trouble struct {
	f     *fleet
	rng   *rand.Rand
	under sync.WaitGroup

	mu    sync.Mutex
	busy  map[string]bool // guarded by mu; nodes by name, and the store
	ended chan struct{}   // guarded by mu; closed and replaced when something is mended
}

// storeBusy stands for the store in trouble.busy.
const storeBusy = "store"

// atOnce is how many things go wrong at the same time.
const atOnce = 2

// cause lets every fault happen, in an order of its own, and all again, until time is up. All are mended when it returns.
func (tr *trouble) cause(until time.Time) {
	defer tr.under.Wait()
	for first := true; first || time.Now().Before(until); first = false {
		for _, i := range tr.rng.Perm(len(fleetFaults)) {
			kind, node, part, late := fleetFaults[i], tr.f.nodes[tr.rng.IntN(len(tr.f.nodes))], tr.rng.Float64(), tr.rng.IntN(60)
			if kind.loses && !tr.f.lossy {
				continue
			}
			if tr.rng.IntN(2) == 0 { // in the middle of a cutover
				tr.f.awaitCutover(2 * time.Second)
				pause(tr.f.ctx, time.Duration(late)*time.Millisecond)
			} else {
				pause(tr.f.ctx, time.Duration(10*late)*time.Millisecond)
			}
			needs := tr.claim(kind, node)
			if tr.f.ctx.Err() != nil || !first && time.Now().After(until) {
				tr.free(needs)
				return
			}
			tr.under.Go(func() {
				defer tr.free(needs)
				tr.one(kind, node, part)
			})
		}
	}
}

// one lets one fault happen and counts it.
func (tr *trouble) one(kind fault, node *fleetNode, part float64) {
	on := ""
	if kind.what == aNode {
		on = " (" + node.name + ")"
	}
	tr.f.note("%s%s: begins, %.2f", kind.name, on, part)
	var err error
	if kind.what != aNode {
		err = tr.f.snapshot()
	}
	if err == nil {
		err = kind.happens(tr.f, node, part)
	}
	if err == nil && kind.what != aNode {
		err = tr.f.store.admit()
	}
	if err != nil && tr.f.ctx.Err() == nil {
		tr.f.t.Errorf("%s%s: %v", kind.name, on, err)
	}
	tr.f.note("%s%s: mended", kind.name, on)
	tr.f.faults.add(kind.name)
}

// claim waits until nothing else is wrong with what the fault needs, and returns that.
func (tr *trouble) claim(kind fault, node *fleetNode) []string {
	needs := []string{node.name}
	switch kind.what {
	case theStore:
		needs = []string{storeBusy}
	case everything:
		needs = append([]string{storeBusy}, fleetNodes...)
	}
	for {
		tr.mu.Lock()
		free := len(tr.busy) < atOnce && (kind.what != everything || len(tr.busy) == 0)
		for _, n := range needs {
			free = free && !tr.busy[n]
		}
		if free {
			for _, n := range needs {
				tr.busy[n] = true
			}
		}
		ended := tr.ended
		tr.mu.Unlock()
		if free {
			return needs
		}
		select {
		case <-ended:
		case <-tr.f.ctx.Done():
			return nil
		}
	}
}

func (tr *trouble) free(needs []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, n := range needs {
		delete(tr.busy, n)
	}
	close(tr.ended)
	tr.ended = make(chan struct{})
}

// cutover is told that a cutover begins.
func (f *fleet) cutover() {
	select {
	case f.cutovers <- struct{}{}:
	default:
	}
}

// awaitCutover returns when a cutover begins, or after most.
func (f *fleet) awaitCutover(most time.Duration) {
	select {
	case <-f.cutovers: // one that is over by now
	default:
	}
	ctx, cancel := context.WithTimeout(f.ctx, most)
	defer cancel()
	select {
	case <-f.cutovers:
		f.faults.add("(in a cutover)")
	case <-ctx.Done():
	}
}

// problem notes what must not be.
func (f *fleet) problem(u *fleetUser, format string, args ...any) {
	text := u.name + ": " + fmt.Sprintf(format, args...)
	f.note("PROBLEM %s", text)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, text)
	f.harmed[u] = true
}

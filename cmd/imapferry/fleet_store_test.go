package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"imapferry/internal/testbed"
)

// fleetStore is a Redis of any kind, with what can go wrong with it.
type fleetStore struct {
	kind    string
	confirm int
	servers []*testbed.Redis
	shards  int // server i is one of shard i modulo shards
	url     func(node string) string
	cut     func(node string) error // nothing of what the node asks for is done or answered
	join    func(node string) error // undoes cut
	admit   func() error            // says again who may ask: servers that start, or are told by Sentinel what to do, forget it, or remember
	settled func() error            // returns when the servers are in order again
	// lose fails over to a server that lacks what was written for as long as age.
	lose   func(age time.Duration) error
	frozen atomic.Pointer[testbed.Redis] // which answers nobody
	// close ends what it has started beside servers.
	close func()
}

// fleetStores starts each kind.
var fleetStores = []func(f *fleet, bed *testbed.Bed) (*fleetStore, error){standaloneFleet, sentinelFleet, clusterFleet}

// standaloneFleet gives each node a forwarder, so that a node that is cut off hears nothing; what it has asked for arrives later.
func standaloneFleet(f *fleet, bed *testbed.Bed) (*fleetStore, error) {
	r, err := bed.Redis(testbed.RedisOptions{AppendOnly: true})
	if err != nil {
		return nil, err
	}
	ways := map[string]*testbed.Forwarder{}
	for _, name := range fleetNodes {
		if ways[name], err = testbed.Forward(r.Addr(), testbed.ForwardOptions{}); err != nil {
			return nil, err
		}
	}
	s := &fleetStore{kind: "standalone", servers: []*testbed.Redis{r}, shards: 1}
	s.url = func(node string) string { return "redis://" + ways[node].Addr() }
	s.cut = func(node string) error { ways[node].Set(hole); return nil }
	s.join = func(node string) error { ways[node].Set(testbed.ForwardOptions{}); return nil }
	s.settled = func() error { return nil }
	s.admit = s.settled
	s.lose = func(age time.Duration) error { // as if the end of its file had not reached the disk
		old, err := s.files()
		if err != nil {
			return err
		}
		pause(f.ctx, age)
		return s.restore(old)
	}
	s.close = func() {
		for _, w := range ways {
			w.Close()
		}
	}
	return s, nil
}

// hole swallows all that passes, until it is lifted.
var hole = testbed.ForwardOptions{Up: testbed.Way{BlackHole: true}, Down: testbed.Way{BlackHole: true}}

// byUser is for servers that tell their own addresses, so that nothing can stand between. Each node is a user of its own instead, whom the
// servers do not let in any more.
func (s *fleetStore) byUser(url string) {
	var mu sync.Mutex
	out := map[string]bool{} // guarded by mu
	s.url = func(node string) string { return strings.Replace(url, "://", "://"+node+":"+node+"@", 1) }
	s.admit = func() error {
		mu.Lock()
		defer mu.Unlock()
		return s.eachRunning(func(r *testbed.Redis) error {
			for _, node := range fleetNodes {
				may := "on"
				if out[node] {
					may = "off"
				}
				if _, err := r.Do("ACL", "SETUSER", node, may); err != nil {
					return err
				}
			}
			return nil
		})
	}
	set := func(node string, cut bool) error {
		mu.Lock()
		out[node] = cut
		mu.Unlock()
		return s.admit()
	}
	s.join = func(node string) error { return set(node, false) }
	s.cut = func(node string) error {
		kill := func(r *testbed.Redis) error { _, err := r.Do("CLIENT", "KILL", "USER", node); return err }
		return errors.Join(set(node, true), s.eachRunning(kill))
	}
	s.close = func() {}
}

// withUsers are servers that lose nothing and know all nodes.
func withUsers() testbed.RedisOptions {
	o := testbed.RedisOptions{AppendOnly: true}
	for _, name := range fleetNodes {
		o.ACL = append(o.ACL, fmt.Sprintf("%s on >%s ~* &* +@all", name, name))
	}
	return o
}

func sentinelFleet(f *fleet, bed *testbed.Bed) (*fleetStore, error) {
	st, err := bed.RedisSentinel(testbed.SentinelOptions{Redis: withUsers(), Replicas: 2})
	if err != nil {
		return nil, err
	}
	confirm := 2
	if f.lossy { // the one replica that confirms may be lost as well
		confirm = 1
	}
	s := &fleetStore{kind: "sentinel", confirm: confirm, servers: st.Servers, shards: 1, settled: st.Settled}
	s.byUser(st.URL())
	s.lose = func(age time.Duration) error {
		old := st.Master()
		if old == nil {
			return errors.New("there is no master")
		}
		others := slices.DeleteFunc(slices.Clone(st.Servers), func(r *testbed.Redis) bool { return r == old })
		next, witness := others[0], others[1]
		if err := s.leaveBehind(old, next); err != nil {
			return err
		}
		pause(f.ctx, age) // the other replica confirms
		if err := errors.Join(old.Kill(), witness.Kill(), s.thaw()); err != nil {
			return err
		}
		if _, err := st.NewMaster(old); err != nil {
			return err
		}
		return errors.Join(old.Start(), witness.Start(), st.Follow(old, next), st.Follow(witness, next))
	}
	return s, nil
}

// leaveBehind keeps from a replica all that its master writes from now on.
func (s *fleetStore) leaveBehind(master, replica *testbed.Redis) error {
	s.frozen.Store(replica)
	if err := replica.Freeze(); err != nil {
		return err
	}
	_, err := master.Do("CLIENT", "KILL", "TYPE", "replica") // what the kernel holds for it would reach it
	return err
}

// thaw undoes leaveBehind.
func (s *fleetStore) thaw() error { return s.frozen.Swap(nil).Thaw() }

func clusterFleet(f *fleet, bed *testbed.Bed) (*fleetStore, error) {
	c, err := bed.RedisCluster(testbed.ClusterOptions{Redis: withUsers()})
	if err != nil {
		return nil, err
	}
	s := &fleetStore{kind: "cluster", confirm: 1, servers: c.Servers, shards: len(c.Servers) / 2, settled: c.Settled}
	s.byUser(c.URL())
	next := 0
	s.lose = func(age time.Duration) error { // nobody confirms meanwhile
		i := next % s.shards
		next++
		old, err := s.master(i)
		if err != nil {
			return err
		}
		at := slices.Index(c.Servers, old)
		other := (at + s.shards) % len(c.Servers)
		if err := s.leaveBehind(old, c.Servers[other]); err != nil {
			return err
		}
		pause(f.ctx, age)
		if err := errors.Join(old.Kill(), s.thaw(), c.Promoted(other), old.Start()); err != nil {
			return err
		}
		return c.Settled()
	}
	return s, nil
}

// eachRunning does the same at every server that runs, and goes on running.
func (s *fleetStore) eachRunning(do func(*testbed.Redis) error) error {
	var errs []error
	for _, r := range s.servers {
		pid := r.PID()
		if pid == 0 || r == s.frozen.Load() {
			continue
		}
		if err := do(r); err != nil && r.PID() == pid {
			errs = append(errs, fmt.Errorf("%s: %w", r.Addr(), err))
		}
	}
	return errors.Join(errs...)
}

// master returns the server of a shard that takes writes.
func (s *fleetStore) master(shard int) (*testbed.Redis, error) {
	for i := shard; i < len(s.servers); i += s.shards {
		v, err := s.servers[i].Do("ROLE")
		if err != nil {
			return nil, err
		}
		if list, _ := v.([]any); len(list) > 0 && list[0] == "master" {
			return s.servers[i], nil
		}
	}
	return nil, fmt.Errorf("shard %d has no master", shard)
}

// crash kills a server, and starts it again after it was down for a while.
func (s *fleetStore) crash(f *fleet, r *testbed.Redis, down time.Duration) error {
	if err := r.Kill(); err != nil {
		return err
	}
	pause(f.ctx, down)
	return errors.Join(r.Start(), s.settled())
}

// empty forgets everything.
func (s *fleetStore) empty() error {
	for shard := range s.shards {
		m, err := s.master(shard)
		if err == nil {
			_, err = m.Do("FLUSHALL")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// files copies what the masters hold.
func (s *fleetStore) files() (all []testbed.RedisFiles, err error) {
	for shard := range s.shards {
		m, err := s.master(shard)
		if err != nil {
			return nil, err
		}
		b, err := m.Files()
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// restore takes all servers down and brings them up with what there was at a time, masters first.
func (s *fleetStore) restore(from []testbed.RedisFiles) error {
	var order []*testbed.Redis
	for shard := range s.shards {
		m, err := s.master(shard)
		if err != nil {
			return err
		}
		order = append(order, m)
	}
	for _, r := range s.servers {
		if !slices.Contains(order, r) {
			order = append(order, r)
		}
		if err := r.Kill(); err != nil {
			return err
		}
	}
	for i, r := range s.servers {
		if err := r.SetFiles(from[i%s.shards]); err != nil {
			return err
		}
	}
	for _, r := range order {
		if err := r.Start(); err != nil {
			return err
		}
	}
	return s.settled()
}

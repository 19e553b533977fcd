package redisstate_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state/redisstate"
	"imapferry/state/statetest"
)

// fleet is a Redis of any kind, as tests need it that run on all kinds.
type fleet struct {
	url     string
	confirm int
	servers []*testbed.Redis
	// failover kills a master and returns when a replica has its place and the dead one is its replica.
	failover func(t *testing.T)
}

// kinds start a fleet each.
var kinds = []struct {
	name  string
	start func(t *testing.T) *fleet
}{
	{"standalone", startStandalone}, {"sentinel", startSentinel}, {"cluster", startCluster},
}

// durable is how servers are configured that lose nothing.
var durable = testbed.RedisOptions{AppendOnly: true}

// startStandalone has no replicas: what fails over is the process alone.
func startStandalone(t *testing.T) *fleet {
	t.Helper()
	r := server(t)
	return &fleet{url: r.URL(), servers: []*testbed.Redis{r}, failover: func(t *testing.T) {
		t.Helper()
		must(t, r.Kill())
		must(t, r.Start())
	}}
}

func startSentinel(t *testing.T) *fleet {
	t.Helper()
	_, f := newSentinel(t, 1)
	return f
}

func newSentinel(t *testing.T, replicas int) (*testbed.RedisSentinel, *fleet) {
	t.Helper()
	testbed.Need(t, "redis-server")
	s, err := testbed.ForTest(t).RedisSentinel(testbed.SentinelOptions{Redis: durable, Replicas: replicas})
	must(t, err)
	return s, &fleet{url: s.URL(), confirm: 1, servers: s.Servers, failover: func(t *testing.T) {
		t.Helper()
		old := s.Master()
		must(t, old.Kill())
		now, err := s.NewMaster(old)
		must(t, err)
		must(t, old.Start())
		must(t, s.Follow(old, now))
	}}
}

func startCluster(t *testing.T) *fleet {
	t.Helper()
	_, f := newCluster(t)
	return f
}

func newCluster(t *testing.T) (*testbed.RedisCluster, *fleet) {
	t.Helper()
	testbed.Need(t, "redis-server")
	c, err := testbed.ForTest(t).RedisCluster(testbed.ClusterOptions{Redis: durable})
	must(t, err)
	next := 0
	return c, &fleet{url: c.URL(), confirm: 1, servers: c.Servers, failover: func(t *testing.T) {
		t.Helper()
		pairs := len(c.Servers) / 2
		old := c.Servers[next%len(c.Servers)]
		must(t, old.Kill())
		must(t, c.Promoted((next+pairs)%len(c.Servers)))
		must(t, old.Start())
		must(t, c.Settled())
		next++
	}}
}

// open opens a store on the fleet.
func (f *fleet) open(t *testing.T) *redisstate.Store {
	t.Helper()
	return openWith(t, f.url, redisstate.Options{Confirm: f.confirm})
}

// masters are the servers that take writes now.
func (f *fleet) masters(t *testing.T) (all []*testbed.Redis) {
	t.Helper()
	for _, r := range f.servers {
		v, err := r.Do("ROLE")
		must(t, err)
		if list, _ := v.([]any); len(list) > 0 && list[0] == "master" {
			all = append(all, r)
		}
	}
	return all
}

// empty forgets everything.
func (f *fleet) empty(t *testing.T) {
	t.Helper()
	for _, r := range f.masters(t) {
		_, err := r.Do("FLUSHALL")
		must(t, err)
	}
}

// keys returns all keys of all masters, in order.
func (f *fleet) keys(t *testing.T) (all []string) {
	t.Helper()
	for _, r := range f.masters(t) {
		v, err := r.Do("KEYS", "*")
		must(t, err)
		list, _ := v.([]any)
		for _, k := range list {
			all = append(all, k.(string))
		}
	}
	slices.Sort(all)
	return all
}

func openWith(t *testing.T, url string, opts redisstate.Options) *redisstate.Store {
	t.Helper()
	opts.Log = slog.New(slog.DiscardHandler)
	s, err := redisstate.Open(t.Context(), url, opts)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	trust(t, s)
	return s
}

// trust has the present run of s accepted: nobody's journal knows anything.
func trust(t *testing.T, s *redisstate.Store) {
	t.Helper()
	until(t, "the run is accepted", func() bool { return statetest.Accept(t.Context(), s) == nil })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until tries ok until it is true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) { // only not to ask too often
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

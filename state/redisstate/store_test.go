package redisstate_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"imapferry/internal/testbed"
	"imapferry/state/redisstate"
	"imapferry/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server starts a Redis that loses nothing.
func server(t *testing.T) *testbed.Redis {
	t.Helper()
	testbed.Need(t, "redis-server")
	r, err := testbed.ForTest(t).Redis(testbed.RedisOptions{AppendOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, url string) *redisstate.Store {
	t.Helper()
	return openWith(t, url, redisstate.Options{})
}

// raw is a client that looks at Redis beside the store.
func raw(t *testing.T, r *testbed.Redis) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: r.Addr()})
	t.Cleanup(func() { c.Close() })
	return c
}

// pass returns when Redis' own clock has moved by d.
func pass(t *testing.T, c *redis.Client, d time.Duration) {
	t.Helper()
	start, err := c.Time(t.Context()).Result()
	for now := start; err == nil && now.Sub(start) < d; now, err = c.Time(t.Context()).Result() {
		time.Sleep(time.Millisecond) // only not to ask too often
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) { conforms(t, startStandalone) }

// What only takes long is left out here: it is the same whoever is asked.
func TestStoreSentinel(t *testing.T) { conforms(t, startSentinel, "ExceptionsKept", "ListMany") }

func TestStoreCluster(t *testing.T) { conforms(t, startCluster, "ExceptionsKept", "ListMany") }

// conforms runs the suite. To open the store again after its process has died is to fail over to a replica, if there are any.
func conforms(t *testing.T, start func(*testing.T) *fleet, except ...string) {
	t.Helper()
	t.Parallel() // it waits most of the time
	f := start(t)
	c := raw(t, f.servers[0])
	statetest.Run(t, func(t *testing.T) *statetest.Harness {
		f.empty(t)
		s := f.open(t)
		return &statetest.Harness{
			Store:  s,
			Pass:   func(d time.Duration) { pass(t, c, d) },
			Reopen: func() { f.failover(t); trust(t, s) },
		}
	}, except...)
}

package redisstate_test

import (
	"log/slog"
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
	s, err := redisstate.Open(t.Context(), url, redisstate.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
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

func TestStore(t *testing.T) {
	r := server(t)
	c := raw(t, r)
	statetest.Run(t, func(t *testing.T) *statetest.Harness {
		if err := c.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		h := &statetest.Harness{Store: open(t, r.URL()), Pass: func(d time.Duration) { pass(t, c, d) }}
		h.Reopen = func() {
			t.Helper()
			if err := r.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := r.Start(); err != nil {
				t.Fatal(err)
			}
		}
		return h
	})
}

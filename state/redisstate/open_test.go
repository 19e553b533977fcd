package redisstate_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state/redisstate"
)

// No error about a URL shows the password in it (I8).
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct{ url, says string }{
		{"redis://u:secret%zz@127.0.0.1:6379/0", "malformed"},
		{"redis://u:secret@127.0.0.1:port/0", "malformed"},
		{"redis+sentinel://u:secret@127.0.0.1:1/mymaster", "redis or rediss"},
		{"bolt:/secret", "redis or rediss"},
		{"redis://u:secret@127.0.0.1:6379/db", "redis://127.0.0.1:6379/db"},
		{"redis://u:secret@127.0.0.1:1/0", "127.0.0.1:1"},
		{"", "redis or rediss"},
	} {
		_, err := redisstate.Open(t.Context(), c.url, redisstate.Options{})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "u:secret") {
			t.Errorf("open %s: %v, want %q", c.url, err, c.says)
		}
	}
}

func TestOpenPassword(t *testing.T) {
	testbed.Need(t, "redis-server")
	r, err := testbed.ForTest(t).Redis(testbed.RedisOptions{Password: "s:e/c ret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t, r.URL()).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = redisstate.Open(t.Context(), "redis://:wrongword@"+r.Addr(), redisstate.Options{})
	if err == nil || strings.Contains(err.Error(), "wrongword") || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
}

// What can lose users is said at start, and nothing else is.
func TestOpenWarns(t *testing.T) {
	testbed.Need(t, "redis-server")
	for _, c := range []struct {
		name  string
		opts  testbed.RedisOptions
		warns []string
	}{
		{"safe", testbed.RedisOptions{AppendOnly: true}, nil},
		{"in memory", testbed.RedisOptions{}, []string{"append-only"}},
		{"synced each second", testbed.RedisOptions{AppendOnly: true, ExtraConfig: "appendfsync everysec"}, []string{"appendfsync"}},
		{"evicting", testbed.RedisOptions{AppendOnly: true, ExtraConfig: "maxmemory-policy allkeys-lru"}, []string{"evict"}},
		{"secretive", testbed.RedisOptions{AppendOnly: true, ExtraConfig: `rename-command CONFIG ""`}, []string{"setting=appendfsync", "setting=maxmemory-policy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := testbed.ForTest(t).Redis(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s, err := redisstate.Open(t.Context(), r.URL(), redisstate.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			if got := strings.Count(log.String(), "level=WARN"); got != len(c.warns) {
				t.Errorf("%d warnings, want %d:\n%s", got, len(c.warns), &log)
			}
			for _, w := range c.warns {
				if !strings.Contains(log.String(), w) {
					t.Errorf("no warning has %q:\n%s", w, &log)
				}
			}
		})
	}
}

// A Redis that accepts and says nothing holds nobody longer than the caller's context (I9).
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := redisstate.Open(ctx, "redis://"+l.Addr().String(), redisstate.Options{}); err == nil {
		t.Error("opened what says nothing")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v, although the context ended after 100ms", took)
	}
}

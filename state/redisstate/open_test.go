package redisstate_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/redisstate"
)

// What cannot be entered is refused in words that say what to change, and that show no password (I8).
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	bed := testbed.ForTest(t)
	r, err := bed.Redis(testbed.RedisOptions{Password: "right", ACL: []string{"reader on >s3cret ~ferry:* &ferry:changes +@read", "ferry on >s3cret ~other:* &* +@all"}, TLS: true})
	must(t, err)
	s, err := bed.RedisSentinel(testbed.SentinelOptions{Redis: testbed.RedisOptions{Password: "right"}, Password: "watch"})
	must(t, err)
	c, err := bed.RedisCluster(testbed.ClusterOptions{})
	must(t, err)
	watchers := s.Sentinels[0].Addr() + "," + s.Sentinels[1].Addr()
	for _, c := range []struct {
		url  string
		opts redisstate.Options
		says string
	}{
		{"redis://u:s3cret@127.0.0.1:6379/db", redisstate.Options{}, "open state: the path is no number of a database"},
		{"redis://u:s3cret@127.0.0.1:1/0", redisstate.Options{}, "open state redis://127.0.0.1:1/0: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"redis://:s3cret@" + r.Addr(), redisstate.Options{}, "WRONGPASS"},
		{"redis://" + r.Addr(), redisstate.Options{Password: "s3cret"}, "WRONGPASS"},
		{"redis://" + r.Addr(), redisstate.Options{}, "NOAUTH"},
		{"redis://reader:s3cret@" + r.Addr(), redisstate.Options{}, "NOPERM this user has no permissions to run the 'ping' command"},
		{"redis://ferry:s3cret@" + r.Addr(), redisstate.Options{}, "must allow the keys ~ferry:*"},
		{"rediss://:right@" + r.Addr(), redisstate.Options{}, "TLS handshake with " + r.Addr()},
		{strings.Replace(r.TLSURL(), "rediss", "redis", 1), redisstate.Options{}, "write the scheme with rediss"},
		{r.TLSURL(), redisstate.Options{}, "certificate signed by unknown authority"},
		{r.TLSURL(), redisstate.Options{TLSCA: "/dev/null"}, "/dev/null holds no PEM certificate"},
		{"redis+sentinel://:s3cret@127.0.0.1:1,127.0.0.1:2/m", redisstate.Options{}, "no Sentinel names the master: 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused; 127.0.0.1:2: dial"},
		{"redis+sentinel://:s3cret@" + watchers + "/ferry?sentinel_password=watch", redisstate.Options{}, "WRONGPASS"},
		{"redis+sentinel://:right@" + watchers + "/ferry?sentinel_password=s3cret", redisstate.Options{}, "WRONGPASS"},
		{"redis+sentinel://:right@" + watchers + "/ferry", redisstate.Options{}, "parameters of their own: ?sentinel_user=…&sentinel_password=…"},
		{"redis+sentinel://:right@" + watchers + "/other?sentinel_password=watch", redisstate.Options{}, `it watches no master named "other"`},
		{"redis+sentinel://:right@" + r.Addr() + "/ferry?sentinel_password=right", redisstate.Options{}, "it is no Sentinel"},
		{"redis+cluster://:right@" + r.Addr(), redisstate.Options{}, "it is not in a Cluster"},
		{"redis://" + c.Servers[0].Addr(), redisstate.Options{}, "write redis+cluster://"},
	} {
		c.opts.Log = slog.New(slog.DiscardHandler)
		s, err := redisstate.Open(t.Context(), c.url, c.opts)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("open %s: %v, want %q", c.url, err, c.says)
		}
		_, tried := redisstate.Try(t.Context(), c.url, c.opts)
		if tried == nil || !strings.Contains(tried.Error(), c.says) || strings.Contains(tried.Error(), "s3cret") {
			t.Errorf("try %s: %v, want %q", c.url, tried, c.says)
		}
	}
}

// Who has the right password, in the URL or beside it, and the right authority, gets in.
func TestOpen(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	bed := testbed.ForTest(t)
	r, err := bed.Redis(testbed.RedisOptions{Password: "s:e/c ret", TLS: true})
	must(t, err)
	s, err := bed.RedisSentinel(testbed.SentinelOptions{Redis: testbed.RedisOptions{Password: "s:e/c ret"}, Password: "w&tch"})
	must(t, err)
	for _, c := range []struct {
		url  string
		opts redisstate.Options
	}{
		{r.URL(), redisstate.Options{}},
		{"redis://" + r.Addr(), redisstate.Options{Password: "s:e/c ret"}},
		{"redis://default@" + r.Addr() + "/1", redisstate.Options{Password: "s:e/c ret"}},
		{r.TLSURL(), redisstate.Options{TLSCA: r.CertFile}},
		{s.URL() + "?sentinel_password=w%26tch", redisstate.Options{Confirm: 1}},
		{strings.Replace(s.URL(), "/0", "/1", 1) + "?sentinel_password=w%26tch&sentinel_user=default", redisstate.Options{Confirm: 1}},
	} {
		store := openWith(t, c.url, c.opts)
		if _, err := store.Offer(t.Context(), "alice"); err != nil {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}

// leastRights is what README.md tells operators to give imapferry's user.
const leastRights = "~ferry:* &ferry:changes +@read +@write +@scripting +@pubsub +@connection -@dangerous +time +info +config|get +cluster|slots +cluster|info"

// The rights that operators are told to give are enough.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	if !bytes.Contains(readme, []byte("user ferry on >password "+leastRights+"\n")) {
		t.Error("operators are told to give others")
	}
	bed := testbed.ForTest(t)
	opts := testbed.RedisOptions{AppendOnly: true, ACL: []string{"ferry on >s3cret " + leastRights}}
	r, err := bed.Redis(opts)
	must(t, err)
	c, err := bed.RedisCluster(testbed.ClusterOptions{Redis: opts})
	must(t, err)
	for _, f := range []*fleet{
		{url: strings.Replace(r.URL(), "redis://", "redis://ferry:s3cret@", 1), servers: []*testbed.Redis{r}},
		{url: strings.Replace(c.URL(), "redis+cluster://", "redis+cluster://ferry:s3cret@", 1), servers: c.Servers, confirm: 1},
	} {
		_, err := redisstate.Try(t.Context(), f.url, f.options())
		must(t, err)
		f.fill(t, "STORE", 8)
		f.wantContent(t, "imported", given(t, "STORE", 8))
		var log bytes.Buffer
		s, err := redisstate.Open(t.Context(), f.url, redisstate.Options{Confirm: f.confirm, Log: slog.New(slog.NewTextHandler(&log, nil))})
		must(t, err)
		defer s.Close()
		if strings.Contains(log.String(), "could not ask") {
			t.Errorf("%s", &log)
		}
		trust(t, s)
		watchesAndMoves(t, s)
	}
}

// A server that does not let this process in any more is an error that says so. It once made a list empty, and other errors said nothing.
func TestNotLetIn(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	r, err := testbed.ForTest(t).Redis(testbed.RedisOptions{ACL: []string{"ferry on >s3cret " + leastRights}})
	must(t, err)
	s := openWith(t, strings.Replace(r.URL(), "redis://", "redis://ferry:s3cret@", 1), redisstate.Options{})
	_, err = s.Offer(t.Context(), "alice")
	must(t, err)
	for _, command := range [][]string{{"ACL", "SETUSER", "ferry", "off"}, {"CLIENT", "KILL", "USER", "ferry"}} {
		_, err = r.Do(command...)
		must(t, err)
	}
	for i, ask := range []func() error{
		func() error { _, err := s.Get(t.Context(), "alice"); return err },
		func() error { _, err := s.Folders(t.Context(), "alice"); return err },
		func() error { _, err := s.List(t.Context(), 0, "", 10); return err },
		func() error { _, err := s.Live(t.Context()); return err },
	} {
		if err := ask(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("question %d: %v", i, err)
		}
	}
}

// watchesAndMoves moves a user from the first offer to the end and hears of it.
func watchesAndMoves(t *testing.T, s *redisstate.Store) {
	t.Helper()
	ctx := t.Context()
	changes := s.Watch(ctx)
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	n, err := s.Join(ctx, "n", time.Hour)
	must(t, err)
	l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
	must(t, err)
	for _, p := range []state.Phase{state.Copying, state.Tailing} {
		_, err := s.Advance(ctx, l, p, state.Change{})
		must(t, err)
	}
	must(t, s.PutFolders(ctx, l, state.Folder{Name: "INBOX"}))
	must(t, s.PutExceptions(ctx, l, state.Exception{Class: "date"}))
	_, err = s.Exceptions(ctx, "alice", "", 10)
	must(t, err)
	_, err = s.CountExceptions(ctx, "alice")
	must(t, err)
	_, err = s.Folders(ctx, "alice")
	must(t, err)
	l, _, err = s.BeginCutover(ctx, l, "x", time.Hour)
	must(t, err)
	holds, err := s.Inbox(ctx, n)
	must(t, err)
	for _, h := range holds {
		must(t, s.Acknowledge(ctx, n, h, 1, nil))
	}
	must(t, s.Commit(ctx, l, "x"))
	_, err = s.Switch(ctx, l, "x", time.Second)
	must(t, err)
	must(t, s.Tally(ctx, "alice", 1, map[string]int64{"view": 1}))
	_, err = s.List(ctx, 0, "", 10)
	must(t, err)
	_, err = s.Counts(ctx)
	must(t, err)
	_, err = s.Due(ctx, 10)
	must(t, err)
	_, err = s.Claim(ctx, "alice", []string{"t"})
	must(t, err)
	until(t, "a change is told", func() bool {
		must(t, s.Report(ctx, l, state.Progress{Messages: 1}))
		select {
		case <-changes:
			return true
		default:
			return false
		}
	})
}

// What can lose users is said at start, and nothing else is.
func TestOpenWarns(t *testing.T) {
	t.Parallel()
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

// What is amiss with the replicas of any master is said at start, and what to set.
func TestOpenWarnsOfReplicas(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	bed := testbed.ForTest(t)
	careless, err := bed.RedisSentinel(testbed.SentinelOptions{Redis: testbed.RedisOptions{AppendOnly: true}, Replicas: 2})
	must(t, err)
	careful, err := bed.RedisSentinel(testbed.SentinelOptions{Redis: testbed.RedisOptions{AppendOnly: true, ExtraConfig: "min-replicas-to-write 1"}})
	must(t, err)
	c, err := bed.RedisCluster(testbed.ClusterOptions{Redis: testbed.RedisOptions{AppendOnly: true}})
	must(t, err)
	const unset = "set min-replicas-to-write"
	for _, c := range []struct {
		name    string
		url     string
		confirm int
		warns   []string
	}{
		{"right", careful.URL(), 1, nil},
		{"right for all", careless.URL(), 2, []string{unset + "\" state=redis+sentinel://" + careless.Sentinels[0].Addr()}},
		{"more", careless.URL(), 1, []string{"raise state.confirm_replicas", "connected=2 confirm_replicas=1", unset}},
		{"none wanted", careful.Servers[0].URL(), 0, []string{"raise state.confirm_replicas"}},
		{"fewer", careful.URL(), 2, []string{"start replicas, or lower state.confirm_replicas", "connected=1 confirm_replicas=2"}},
		{"a replica", careful.Servers[1].URL(), 0, []string{"give the address of its master"}},
		{"each master of a cluster", c.URL(), 1, []string{"server=" + c.Servers[0].Addr(), "server=" + c.Servers[1].Addr(), "server=" + c.Servers[2].Addr(), unset}},
	} {
		var log bytes.Buffer
		s, err := redisstate.Open(t.Context(), c.url, redisstate.Options{Confirm: c.confirm, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err == nil {
			s.Close()
		}
		_, tried := redisstate.Try(t.Context(), c.url, redisstate.Options{Confirm: c.confirm, Log: slog.New(slog.DiscardHandler)})
		if failed := c.name == "fewer" || c.name == "a replica"; (err != nil) != failed || (tried != nil) != failed {
			t.Errorf("%s: opened %v, tried %v", c.name, err, tried)
		}
		if len(c.warns) == 0 && log.Len() > 0 {
			t.Errorf("%s: warned\n%s", c.name, &log)
		}
		for _, w := range c.warns {
			if !strings.Contains(log.String(), w) {
				t.Errorf("%s: no warning has %q:\n%s", c.name, w, &log)
			}
		}
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

package main

import (
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"imapferry/internal/testbed"
)

// twoNodes starts the nodes one and two on one Redis, and returns where they listen for clients; admin APIs are dir/one.sock, dir/two.sock.
func twoNodes(t *testing.T, env ...string) (nodes []*process, addrs []string, dir string) {
	t.Helper()
	redis := redisFor(t)
	return twoNodesOn(t, redis, env...)
}

func twoNodesOn(t *testing.T, redis *testbed.Redis, env ...string) (nodes []*process, addrs []string, dir string) {
	t.Helper()
	config, dir, _, _ := twoServers(t)
	for _, name := range []string{"one", "two"} {
		p := startNamed(t, redis, config, dir, name, env...)
		addrs = append(addrs, p.joined(name))
		nodes = append(nodes, p)
	}
	return nodes, addrs, dir
}

// startNamed starts a node on redis, with the admin API at dir/NAME.sock and the journal at dir/NAME.journal.
func startNamed(t *testing.T, redis *testbed.Redis, config, dir, name string, env ...string) *process {
	t.Helper()
	return program(t, append([]string{
		"IMAPFERRY_STATE_URL=" + redis.URL(), "IMAPFERRY_STATE_NODE=" + name,
		"IMAPFERRY_STATE_JOURNAL=" + filepath.Join(dir, name+".journal"),
		"IMAPFERRY_LISTEN_ADMIN=unix:" + filepath.Join(dir, name+".sock"),
	}, env...), "serve", "--config", config)
}

// joined waits until the node is one of the others, and returns where it listens for clients.
func (p *process) joined(name string) (addr string) {
	p.t.Helper()
	p.await(`msg="node joined" node=` + name)
	return p.await(`msg=listening imaps=\[(\S+)\]`)[1]
}

// Two nodes on one Redis: a switch waits for both, and neither serves the source afterwards (I3).
func TestServeNodes(t *testing.T) {
	nodes, addrs, _ := twoNodes(t)
	c := dial(t, addrs[1])
	c.do("LOGIN carol pass")
	c.do("SELECT INBOX")
	dial(t, addrs[0]).do("LOGIN carol pass")
	nodes[1].await(`msg="sessions after a switch" user=carol moved=1 ended=map\[\]`)
	c.do("NOOP")
	for i, addr := range addrs {
		dial(t, addr).do("LOGIN carol pass")
		nodes[i].await(`msg="logged in".* user=carol backend=target`)
	}
}

// Somebody empties Redis. A user who was switched is not sent to the source as if new (I3): each node that has sent carol to the
// target goes on to do so by its journal, and users of whom it knows nothing are refused in words that name the cause.
func TestServeStoreEmptied(t *testing.T) {
	redis := redisFor(t)
	nodes, addrs, _ := twoNodesOn(t, redis)
	c := dial(t, addrs[0])
	c.do("LOGIN carol pass")
	nodes[0].await(`msg="sessions after a switch" user=carol moved=1 ended=map\[\]`)
	dial(t, addrs[1]).do("LOGIN carol pass")
	empty(t, redis)
	for i, addr := range addrs {
		for _, user := range []string{"carol", "dave"} { // dave was never seen
			again := dial(t, addr)
			if _, err := io.WriteString(again, "a LOGIN "+user+" pass\r\n"); err != nil {
				t.Fatal(err)
			}
			if user == "carol" {
				again.hear("a OK")
				nodes[i].await(`msg="logged in".* user=carol backend=target`)
				continue
			}
			again.hear("a NO [UNAVAILABLE]")
			nodes[i].await(`user=` + user + ` .*it was emptied`)
		}
	}
	c.do("SELECT INBOX")
}

// empty takes everything from redis.
func empty(t *testing.T, redis *testbed.Redis) {
	t.Helper()
	if v, err := redis.Do("FLUSHALL"); err != nil || v != "OK" {
		t.Fatalf("FLUSHALL: %v (%v)", v, err)
	}
}

// carolSwitched leaves what node one, which is stopped, leaves behind when it has switched carol.
func carolSwitched(t *testing.T) (redis *testbed.Redis, config, dir string) {
	t.Helper()
	redis = redisFor(t)
	config, dir, _, _ = twoServers(t)
	p := startNamed(t, redis, config, dir, "one")
	dial(t, p.joined("one")).do("LOGIN carol pass")
	p.await(`msg="sessions after a switch" user=carol moved=1 ended=map\[\]`)
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.exit()
	return redis, config, dir
}

// After Redis was emptied for good no node starts, since nothing says that this is the fleet that it belongs to. Once an operator has
// said so, its journal gives the switches to the store.
func TestAdopt(t *testing.T) {
	redis, config, dir := carolSwitched(t)
	empty(t, redis)
	p := startNamed(t, redis, config, dir, "one")
	if p.exit() != failed || !strings.Contains(p.text(), "imapferry help adopt") {
		t.Errorf("with an emptied store: %s", p.text())
	}
	t.Setenv("IMAPFERRY_STATE_URL", redis.URL())
	t.Setenv("IMAPFERRY_STATE_JOURNAL", filepath.Join(dir, "one.journal"))
	code, out, stderr := ferry(t, "adopt", "--config", config)
	if code != done || !strings.Contains(out, "1 users") {
		t.Errorf("adopt: exit %d, %s\n%s", code, out, stderr)
	}
	p = startNamed(t, redis, config, dir, "one")
	dial(t, p.joined("one")).do("LOGIN carol pass")
	p.await(`msg="logged in".* user=carol backend=target`)
}

// Redis comes back without a switch that counted. A node gives it back before it takes part in anything (I7): its worker, or another's,
// would copy the old mail over the mailbox that lives at the target.
func TestPostsBeforeItJoins(t *testing.T) {
	redis, config, dir := carolSwitched(t)
	found, err := redis.Do("KEYS", "*:user:carol")
	if keys, ok := found.([]any); !ok || len(keys) != 1 {
		t.Fatalf("keys %v (%v)", found, err)
	} else if _, err := redis.Do("DEL", keys[0].(string)); err != nil {
		t.Fatal(err)
	}
	p := startNamed(t, redis, config, dir, "one")
	p.joined("one")
	if before, _, _ := strings.Cut(p.text(), `msg="node joined"`); !strings.Contains(before, "the store had lost switches") {
		t.Errorf("joined before it had posted: %s", p.text())
	}
}

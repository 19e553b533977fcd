package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// shortLife makes nodes count as dead soon. Short is what a loaded machine keeps to.
const shortLife = "IMAPFERRY_STATE_NODE_TTL=3s"

func redisFor(t *testing.T) *testbed.Redis {
	t.Helper()
	redis, err := testbed.ForTest(t).Redis(testbed.RedisOptions{AppendOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return redis
}

// readiness asks what a load balancer asks.
func readiness(t *testing.T, socket string) (code int, body string) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get("http://node/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// A node that was killed starts again. What it was may run on, for all that anybody knows: it waits until that counts as dead, and says
// so. After an orderly stop it need not wait.
func TestNodeStartsAgain(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	redis, socket := redisFor(t), filepath.Join(dir, "one.sock")
	p := startNamed(t, redis, config, dir, "one", shortLife)
	p.joined("one")
	p.cmd.Process.Kill()
	p.exit()

	env, hear := serviceManager(t)
	began := time.Now()
	p = startNamed(t, redis, config, dir, "one", shortLife, env)
	said := p.await(`level=WARN msg="the node's name is taken: .*state.node.* node=one .*at_most=(\S+)`)[1]
	const dead = 3300 * time.Millisecond // the TTL and a tenth, since the process has first looked
	atMost, err := time.ParseDuration(said)
	if least := (dead - time.Since(began)).Round(100 * time.Millisecond); err != nil || atMost < least || atMost > dead {
		t.Errorf("it waits for %s at most; want %s to %s", said, least, dead)
	}
	if code, body := readiness(t, socket); code != http.StatusServiceUnavailable || !strings.Contains(body, "node one has not joined") {
		t.Errorf("while it waits: readyz answers %d %s", code, body)
	}
	hear(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (atMost + startWithin).Microseconds()))
	addr := p.joined("one")
	hear("READY=1")
	if code, body := readiness(t, socket); code != http.StatusOK {
		t.Errorf("joined: readyz answers %d %s", code, body)
	}
	dial(t, addr).do("LOGIN alice pass")
	p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.exit(); code != done {
		t.Errorf("exit %d", code)
	}

	p = startNamed(t, redis, config, dir, "one", shortLife)
	p.joined("one")
	if strings.Contains(p.text(), "is taken") {
		t.Errorf("after an orderly stop:\n%s", p.text())
	}
}

// Two processes have one name. The second would take the first one's place among the nodes, and nobody would wait for the first one's
// sessions any more (I3).
func TestNodeNameTwice(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	redis := redisFor(t)
	first := startNamed(t, redis, config, dir, "one", shortLife)
	addr := first.joined("one")
	apart := []string{shortLife, "IMAPFERRY_LISTEN_ADMIN=", "IMAPFERRY_STATE_JOURNAL=" + filepath.Join(dir, "second.journal")}
	second := startNamed(t, redis, config, dir, "one", apart...)
	if code := second.exit(); code != failed || !strings.Contains(second.text(), "imapferry serve: join one: node name one is taken since 20") ||
		!strings.Contains(second.text(), "give each node a name of its own (state.node)") {
		t.Errorf("the second exits %d with\n%s", code, second.text())
	}
	stopped := startNamed(t, redis, config, dir, "one", apart...)
	stopped.await("is taken: waiting")
	stopped.cmd.Process.Signal(syscall.SIGTERM)
	if code := stopped.exit(); code != done {
		t.Errorf("told to stop while it waits: exit %d with\n%s", code, stopped.text())
	}
	dial(t, addr).do("LOGIN alice pass")
	if strings.Contains(first.text(), "in doubt") {
		t.Errorf("the first:\n%s", first.text())
	}
}

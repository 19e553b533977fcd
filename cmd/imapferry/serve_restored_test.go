package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// tries logs in as user, and reports whether that was let in; a refusal must be one that no client takes for a wrong password.
func tries(t *testing.T, addr, user string) (in bool) {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	if _, err := io.WriteString(c, "a LOGIN "+user+" pass\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := c.hear("a ")
	if in = strings.Contains(answer, "\na OK") || strings.HasPrefix(answer, "a OK"); !in && !strings.Contains(answer, "a NO [UNAVAILABLE]") {
		t.Fatalf("%s hears %s", user, answer)
	}
	return in
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// gets logs in as user until that is let in, and returns how long it took.
func gets(t *testing.T, addr, user string) time.Duration {
	t.Helper()
	began := time.Now()
	for !tries(t, addr, user) {
		if time.Since(began) > patience {
			t.Fatalf("%s is not let in", user)
		}
		time.Sleep(10 * time.Millisecond) // only not to ask too often
	}
	return time.Since(began)
}

// neverAtSource demands that none of the nodes has ever sent user to the source.
func neverAtSource(t *testing.T, user string, nodes ...*process) {
	t.Helper()
	for _, p := range nodes {
		if strings.Contains(p.text(), `user=`+user+` backend=source`) {
			t.Errorf("%s was sent to the source:\n%s", user, p.text())
		}
	}
}

// Redis is restored from a snapshot that is older than the switch of carol, which the journal of node one alone knows, and older than
// nodes two and three. While node one is away nobody is sent anywhere by its records; operators see for whom to wait. When it has come
// back carol is served by the target, on every node (I3, I7; guards by their names in state/model/journal.pml: NO_REPAIR, BY_SEQUENCE).
func TestServeStoreRestored(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	redis := redisFor(t)
	env := []string{shortLife, `IMAPFERRY_MIGRATE_ONLY=carol`}
	one := startNamed(t, redis, config, dir, "one", env...)
	addr := one.joined("one")
	old, err := redis.Files()
	if err != nil {
		t.Fatal(err)
	}
	dial(t, addr).do("LOGIN carol pass")
	one.await(`msg="sessions after a switch" user=carol moved=1 ended=map\[\]`)
	two := startNamed(t, redis, config, dir, "two", env...)
	three := startNamed(t, redis, config, dir, "three", env...)
	addrs := []string{two.joined("two"), three.joined("three")}
	one.cmd.Process.Kill()
	one.exit()
	if err := errors.Join(redis.Kill(), redis.SetFiles(old), redis.Start()); err != nil {
		t.Fatal(err)
	}
	two.await(`msg="the store was started or failed over and may have lost writes`)
	three.await(`msg="the store was started or failed over and may have lost writes`)
	for _, addr := range addrs {
		for _, user := range []string{"carol", "bob"} {
			if tries(t, addr, user) {
				t.Errorf("%s is let in, although the store may have lost a switch", user)
			}
		}
	}
	two.await(`level=ERROR msg="the store's records do not count.*imapferry help forget" missing="?\[one`)
	admin := "unix:" + filepath.Join(dir, "two.sock")
	if code, out, stderr := ferry(t, "status", "--admin", admin); code != failed || !strings.Contains(out, "the journals of one") {
		t.Errorf("status: exit %d, %s, %s", code, out, stderr)
	}

	one = startNamed(t, redis, config, dir, "one", env...)
	addrs = append(addrs, one.joined("one"))
	for _, addr := range addrs {
		for _, user := range []string{"carol", "bob"} {
			gets(t, addr, user)
		}
	}
	for i, p := range []*process{two, three, one} {
		dial(t, addrs[i]).do("LOGIN carol pass")
		p.await(`msg="logged in".* user=carol backend=target`)
	}
	neverAtSource(t, "carol", two, three)
	if code, out, stderr := ferry(t, "status", "--admin", admin); code != done {
		t.Errorf("status: exit %d, %s, %s", code, out, stderr)
	}
}

// A node is gone for good when Redis is started again. Sessions that are open go on, logins are refused. Once an operator has said that it
// is gone they are not.
func TestForget(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	redis := redisFor(t)
	env := []string{shortLife, `IMAPFERRY_MIGRATE_ONLY=carol`}
	one := startNamed(t, redis, config, dir, "one", env...)
	addr := one.joined("one")
	two := startNamed(t, redis, config, dir, "two", env...)
	two.joined("two")
	admin := "unix:" + filepath.Join(dir, "one.sock")
	if code, _, stderr := ferry(t, "forget", "two", "three", "--admin", admin); code != failed || !strings.Contains(stderr, "node two runs") || !strings.Contains(stderr, "no node three is waited for") {
		t.Errorf("forget: exit %d, %s", code, stderr)
	}
	two.cmd.Process.Signal(syscall.SIGTERM)
	two.exit()
	open := dial(t, addr)
	open.do("LOGIN bob pass")
	open.do("SELECT INBOX")
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	one.await(`msg="the store was started or failed over`)
	if tries(t, addr, "bob") {
		t.Error("bob is let in, although a journal is missing")
	}
	open.do("NOOP")
	if code, out, stderr := ferry(t, "forget", "two", "--admin", admin); code != done || out != "two: forgotten\n" {
		t.Errorf("forget: exit %d, %s, %s", code, out, stderr)
	}
	gets(t, addr, "bob")
	open.do("NOOP")
	one.await(`msg="the store's records count again" nodes=\[one\]`)
}

// Redis is restarted, with nothing lost, under three nodes: nobody is refused for longer than it is away and a moment, and sessions go on.
func TestServeStoreRestarted(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	redis := redisFor(t)
	var addrs []string
	var nodes []*process
	for i := range 3 {
		name := fmt.Sprint("n", i)
		p := startNamed(t, redis, config, dir, name, `IMAPFERRY_MIGRATE_ONLY=carol`)
		addrs, nodes = append(addrs, p.joined(name)), append(nodes, p)
	}
	open := dial(t, addrs[0])
	open.do("LOGIN bob pass")
	for range 3 {
		if err := redis.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := redis.Start(); err != nil {
			t.Fatal(err)
		}
		for i, addr := range addrs {
			took := gets(t, addr, "bob")
			t.Logf("node %d lets in again after %v", i, took.Round(time.Millisecond))
			if took > 10*time.Second {
				t.Errorf("node %d has let nobody in for %v", i, took)
			}
		}
		open.do("NOOP")
	}
	for _, p := range nodes {
		p.await(`msg="the store's records count again"`)
	}
}

// A replica is promoted that lacks the switch of carol, which another replica had confirmed, and the Joins of two nodes. However often
// carol logs in meanwhile, at nodes whose journals do not know her, the source never gets her.
func TestServeFailoverWithLoss(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	s, err := testbed.ForTest(t).RedisSentinel(testbed.SentinelOptions{Redis: testbed.RedisOptions{AppendOnly: true}, Replicas: 2})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	env := []string{shortLife, "IMAPFERRY_STATE_URL=" + s.URL(), "IMAPFERRY_STATE_CONFIRM_REPLICAS=1", `IMAPFERRY_MIGRATE_ONLY=carol`}
	one := startNamed(t, s.Servers[0], config, dir, "one", env...)
	addr := one.joined("one")
	must(s.Reached(s.Servers[2]))
	must(s.Servers[2].Kill())
	dial(t, addr).do("LOGIN carol pass")
	one.await(`msg="sessions after a switch" user=carol moved=1 ended=map\[\]`)
	two := startNamed(t, s.Servers[0], config, dir, "two", env...)
	three := startNamed(t, s.Servers[0], config, dir, "three", env...)
	addrs := []string{two.joined("two"), three.joined("three")}
	must(s.Servers[0].Kill())
	must(s.Servers[1].Kill())
	must(s.Servers[2].Start())
	again := make(chan struct{})
	go func() {
		defer close(again)
		now, err := s.NewMaster(s.Servers[0])
		for _, r := range s.Servers[:2] {
			if err == nil {
				err = r.Start()
			}
		}
		if err == nil {
			err = s.Follow(s.Servers[0], now)
		}
		if err != nil {
			t.Error(err)
		}
	}()
	for n := 0; !closed(again); n++ {
		tries(t, addrs[n%2], "carol")
		time.Sleep(10 * time.Millisecond) // the failover needs the machine, too
	}
	for i, p := range []*process{two, three} {
		gets(t, addrs[i], "carol")
		p.await(`msg="logged in".* user=carol backend=target`)
	}
	neverAtSource(t, "carol", two, three)
	one.await(`msg="the store's records count again"`)
	code, out, stderr := ferry(t, "status", "carol", "--admin", "unix:"+filepath.Join(dir, "one.sock"))
	if code != done || !strings.Contains(out, "phase       migrated\n") || !strings.Contains(out, state.Repaired) {
		t.Errorf("status of a user whose switch the store had lost: exit %d, %s\n%s", code, stderr, out)
	}
}

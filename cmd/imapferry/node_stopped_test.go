package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// A process is stopped for longer than its lease, with a write of a client's on its way to the source. The user is switched meanwhile,
// and then the source takes the write: the client must not hear that it is stored, for the target does not have it (I1, I3). It was told
// so, since the answer was read and passed on before the process knew for how long it had been stopped.
func TestStoppedNode(t *testing.T) {
	config, dir, source, _ := twoServers(t)
	gate, err := testbed.OpenGate(source.IMAP(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gate.Close)
	redis, env := redisFor(t), []string{shortLife, "IMAPFERRY_SOURCE_URL=imap://" + gate.Addr(), "IMAPFERRY_MIGRATE_CUTOVER=manual"}
	one := startNamed(t, redis, config, dir, "one", env...)
	two := startNamed(t, redis, config, dir, "two", env...)
	addrs := []string{one.joined("one"), two.joined("two")}

	direct := dial(t, source.IMAPS())
	direct.do("LOGIN carol pass")
	direct.add("news")
	direct.do("SELECT INBOX")
	c := dial(t, addrs[1])
	c.do("LOGIN carol pass")
	c.do("SELECT INBOX")
	dial(t, addrs[0]).do("LOGIN carol pass") // whose engine has the secret then
	socket := filepath.Join(dir, "one.sock")
	awaitFree(t, socket, "carol") // whichever node's worker has made carol ready

	kept := gate.Keep("carol", 1)
	if _, err := io.WriteString(c, "b STORE 1 +FLAGS (\\Flagged)\r\n"); err != nil {
		t.Fatal(err)
	}
	<-kept.Reached()
	if err := two.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := ferry(t, "cutover", "carol", "--admin", "unix:"+socket); code != done {
		t.Fatalf("cutover: exit %d, %s", code, stderr)
	}
	one.await(`msg=phase .*to=migrated`)
	kept.Pass()
	for deadline := time.Now().Add(patience); !strings.Contains(direct.do("FETCH 1 FLAGS"), `\Flagged`); direct.do("NOOP") {
		if time.Now().After(deadline) {
			t.Fatal("the source does not take the write")
		}
	}
	if err := two.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	heard, err := io.ReadAll(c.in)
	var ended net.Error
	if strings.Contains(string(heard), "b OK") || errors.As(err, &ended) && ended.Timeout() {
		t.Errorf("the client heard %q, and then %v", heard, err)
	}
	two.await(`this node's life is in doubt`)
	two.await(`node is sure of its life again`)
	dial(t, addrs[1]).do("LOGIN carol pass")
	two.await(`msg="logged in".* user=carol backend=target`)
}

// awaitFree waits until user waits for an operator and no worker has the lease.
func awaitFree(t *testing.T, socket, user string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		code, out, stderr := ferry(t, "status", user, "--json", "--admin", "unix:"+socket)
		var rec state.Record
		if code == done && json.Unmarshal([]byte(out), &rec) == nil && strings.HasPrefix(rec.Reason, "ready") && rec.Owner == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("status %s: exit %d, %s\n%s", user, code, stderr, out)
		}
	}
}

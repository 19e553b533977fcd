package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"imapferry/internal/testbed"
)

// fleetNode is a node as a service manager keeps it: when it ends, it is started again.
type fleetNode struct {
	f       *fleet
	name    string
	env     []string
	source  *testbed.Forwarder
	target  []*testbed.Forwarder // IMAP, and doveadm if there is any
	logFile string

	mu      sync.Mutex
	cmd     *exec.Cmd     // guarded by mu; nil while there is no process
	addr    string        // guarded by mu; where it listens for clients, empty unless it does
	stopped bool          // guarded by mu; an operator wants it to be down
	changed chan struct{} // guarded by mu; closed and replaced with each change of the above
}

// restartPause is what the service manager waits.
const restartPause = 300 * time.Millisecond

// keep runs the node until ctx ends.
func (n *fleetNode) keep(ctx context.Context) {
	for n.await(ctx, func() bool { return !n.stopped }) == nil && ctx.Err() == nil {
		if err := n.live(ctx); err != nil && ctx.Err() == nil {
			n.f.note("node %s ended: %v", n.name, err)
		}
		pause(ctx, restartPause)
	}
}

// live is one life of the node, from its start to its end.
func (n *fleetNode) live(ctx context.Context) error {
	log, err := os.OpenFile(n.logFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, os.Args[0], "serve", "--config", n.f.config)
	cmd.Env = append(append(os.Environ(), asProgram+"=1"), n.env...)
	cmd.Stderr = &nodeLog{n: n, file: log}
	if err := cmd.Start(); err != nil {
		return err
	}
	n.change(func() { n.cmd = cmd })
	err = cmd.Wait()
	n.change(func() { n.cmd, n.addr = nil, "" })
	return err
}

// change changes what mu guards.
func (n *fleetNode) change(what func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	what()
	close(n.changed)
	n.changed = make(chan struct{})
}

// await waits until ok, which is called with mu held.
func (n *fleetNode) await(ctx context.Context, ok func() bool) error {
	for {
		n.mu.Lock()
		yes, changed := ok(), n.changed
		n.mu.Unlock()
		if yes {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listens returns where the node takes clients, or "".
func (n *fleetNode) listens() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addr
}

// signal sends sig to the process, if there is one.
func (n *fleetNode) signal(sig syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(sig) // one that has just ended cannot be told
	}
}

// stop ends the node in order, as an operator does, and returns when it is down.
func (n *fleetNode) stop(ctx context.Context) error {
	n.change(func() { n.stopped = true })
	n.signal(syscall.SIGTERM)
	return n.await(ctx, func() bool { return n.cmd == nil })
}

// start undoes stop.
func (n *fleetNode) start() { n.change(func() { n.stopped = false }) }

// admin is the address of the admin API.
func (n *fleetNode) admin() string { return "unix:" + filepath.Join(n.f.dir, n.name+".sock") }

// run runs another command of the program as the node is configured, and returns what it printed.
func (n *fleetNode) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1"), n.env...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// about returns the last lines of the node's log that speak of user.
func (n *fleetNode) about(user string, most int) string {
	text, err := os.ReadFile(n.logFile)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "user="+user+" ") || strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-most):], "")
}

// broken matches what no node may ever say.
var broken = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE)(?s:.{0,1000})`)

// crashes returns what the node's log tells of its own faults.
func (n *fleetNode) crashes() error {
	text, err := os.ReadFile(n.logFile)
	if err != nil {
		return err
	}
	if m := broken.Find(text); m != nil {
		return errors.New(string(m))
	}
	return nil
}

// nodeLog writes a node's log to a file and listens.
type nodeLog struct {
	n    *fleetNode
	file *os.File
	line []byte // whose end is yet to come
}

var listening = regexp.MustCompile(`msg=listening imaps=\[(\S+)\]`)

func (l *nodeLog) Write(b []byte) (int, error) {
	l.line = append(l.line, b...)
	for {
		line, rest, whole := bytes.Cut(l.line, []byte("\n"))
		if !whole {
			break
		}
		if m := listening.FindSubmatch(line); m != nil {
			l.n.change(func() { l.n.addr = string(m[1]) })
		}
		if bytes.Contains(line, []byte("to=cutover")) {
			l.n.f.cutover()
		}
		l.line = rest
	}
	return l.file.Write(b)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

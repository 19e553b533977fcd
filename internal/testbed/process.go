package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	startWithin = 30 * time.Second // a loaded machine; usual is 0.1 s
	agreeWithin = time.Minute      // several servers: another try of a failover comes 4 s after the last one, of an election in a cluster 8 s
	stopWithin  = 5 * time.Second
	pollEvery   = 3 * time.Millisecond
)

var (
	errRunning    = errors.New("already running")
	errNotRunning = errors.New("not running")
)

// server is one process with its children, in a group of its own. Its command
// line is fixed, so that it can be started again after a stop or a crash.
type server struct {
	name string
	argv []string
	dir  string
	out  string // file for stdout and stderr
	logs []string
	// ready reports nil once the server answers on its port.
	ready func(context.Context) error
	// lifeline starts argv by lifelineScript, for a server that the kernel would
	// not end with its owner, since it drops root.
	lifeline bool
	// enclosed starts argv in namespaces of its own: it may mount, and all its
	// processes end with it, whatever groups they have made.
	enclosed bool

	mu   sync.Mutex
	cmd  *exec.Cmd     // guarded by mu; nil when not started
	gone chan struct{} // guarded by mu; closed when cmd has been reaped
}

// start runs the server and returns when it answers.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive() {
		return fmt.Errorf("start %s: %w", s.name, errRunning)
	}
	out, err := os.OpenFile(s.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	defer out.Close()
	cmd, life, err := s.command()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		life.Close()
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.cmd, s.gone = cmd, make(chan struct{})
	go reap(cmd, life, s.gone)
	if err := s.await(); err != nil {
		s.end(syscall.SIGKILL)
		return fmt.Errorf("start %s: %w\n%s", s.name, err, s.LogTail())
	}
	return nil
}

// lifelineScript runs its arguments in place of itself. A child of it waits for
// the end of the pipe, which comes when the owner dies, and kills the group.
const lifelineScript = `{ exec >/dev/null 2>&1; read line <&3; kill -KILL 0; } & exec 3<&- "$@"`

// command makes the command, and with a lifeline the end of it that the owner
// holds.
func (s *server) command() (*exec.Cmd, io.Closer, error) {
	argv := s.argv
	if s.lifeline {
		argv = append([]string{"/bin/sh", "-c", lifelineScript, "sh"}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.SysProcAttr = s.dir, ownGroup()
	if s.enclosed {
		enclose(cmd.SysProcAttr)
	}
	if !s.lifeline {
		return cmd, io.NopCloser(nil), nil
	}
	far, near, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.ExtraFiles = []*os.File{far}
	return cmd, pair{far, near}, nil
}

type pair [2]io.Closer

func (p pair) Close() error { return errors.Join(p[0].Close(), p[1].Close()) }

func reap(cmd *exec.Cmd, life io.Closer, gone chan<- struct{}) {
	_ = cmd.Wait() // how it ended is in its log
	_ = life.Close()
	close(gone)
}

// await polls the port: servers have no better sign of being ready.
func (s *server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.gone:
			return fmt.Errorf("ended at once: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer within %s: %w", startWithin, err)
		case <-tick.C:
		}
	}
}

// alive is called with mu held.
func (s *server) alive() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.gone:
		return false
	default:
		return true
	}
}

// end signals the leader, or with SIGKILL the whole group, and waits. What is
// left of the group afterwards still holds the listening sockets and is killed.
func (s *server) end(sig syscall.Signal) {
	pid := s.cmd.Process.Pid
	if sig == syscall.SIGKILL {
		pid = -pid
	}
	_ = syscall.Kill(pid, sig)
	select {
	case <-s.gone:
	case <-time.After(stopWithin):
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.gone
	groupGone(s.cmd.Process.Pid)
}

// groupGone waits until no child is left that might still take a connection.
func groupGone(pid int) {
	for end := time.Now().Add(stopWithin); groupAlive(pid) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// Stop ends the server in good order. Stopping what does not run is no error.
func (s *server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive() {
		s.end(syscall.SIGTERM)
	}
	return nil
}

// Kill ends the server and its children with SIGKILL, as a crash would.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive() {
		return fmt.Errorf("kill %s: %w", s.name, errNotRunning)
	}
	s.end(syscall.SIGKILL)
	return nil
}

// Freeze stops the server and its children without ending them: connections
// stay open and nothing answers.
func (s *server) Freeze() error { return s.signal(-1, syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *server) Thaw() error { return s.signal(-1, syscall.SIGCONT) }

// signal sends sig to the leader (group 1) or to its whole group (-1) and those
// that its children have made.
func (s *server) signal(group int, sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive() {
		return fmt.Errorf("signal %s: %w", s.name, errNotRunning)
	}
	pids := []int{s.cmd.Process.Pid}
	if group < 0 {
		pids = groups(pids[0])
	}
	for _, pid := range pids {
		if err := syscall.Kill(group*pid, sig); err != nil {
			return fmt.Errorf("signal %s: %w", s.name, err)
		}
	}
	return nil
}

// PID returns the process id of the server, or 0 when it does not run.
func (s *server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive() {
		return 0
	}
	return s.cmd.Process.Pid
}

// LogTail returns the end of the server's logs.
func (s *server) LogTail() string {
	var all string
	for _, path := range append([]string{s.out}, s.logs...) {
		if text := tail(path, 8<<10); text != "" {
			all += "--- " + s.name + ": " + path + "\n" + text
		}
	}
	return all
}

func tail(path string, limit int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size() > limit {
		_, _ = f.Seek(-limit, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, limit))
	return string(text)
}

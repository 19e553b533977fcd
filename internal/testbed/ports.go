package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Ports are taken below the ephemeral range (32768 and above on Linux), where
// an outgoing connection may sit on a port at any moment.
const (
	firstPort = 20000
	lastPort  = 32767
)

var errNoPort = errors.New("no free port between 20000 and 32767")

// ports hands out ports to all beds of this process. Other processes are kept
// away by a lock on one byte per port of a common file: such a lock ends with
// its process, and it also covers a port whose server is down at the moment.
var ports = &portPool{taken: map[int]bool{}}

type portPool struct {
	mu    sync.Mutex
	file  *os.File // guarded by mu; opened at first use, stays open
	taken map[int]bool
}

// Port returns a port on loopback that no other test of this machine takes
// until t ends, for servers that somebody else starts there.
func Port(t TB) int {
	t.Helper()
	port, err := ports.take()
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { ports.release(port) })
	return port
}

func (p *portPool) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.open(); err != nil {
		return 0, err
	}
	span := lastPort - firstPort + 1
	start := rand.IntN(span)
	for i := range span {
		port := firstPort + (start+i)%span
		if p.taken[port] || lockByte(p.file, int64(port)) != nil {
			continue
		}
		if free(port) {
			p.taken[port] = true
			return port, nil
		}
		unlockByte(p.file, int64(port))
	}
	return 0, errNoPort
}

func (p *portPool) release(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[port] {
		delete(p.taken, port)
		unlockByte(p.file, int64(port))
	}
}

// open keeps one file per user: another user's file could not be opened in a
// sticky folder. Users are kept apart by the bind test alone.
func (p *portPool) open() error {
	if p.file != nil {
		return nil
	}
	path := filepath.Join(os.TempDir(), "imapferry-testbed-ports."+strconv.Itoa(os.Getuid()))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open port locks: %w", err)
	}
	p.file = f
	return nil
}

func free(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// loopback is the address of a port, and empty for one that was not asked for.
func loopback(port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

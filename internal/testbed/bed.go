package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Bed is a scratch folder with the servers that live in it.
type Bed struct {
	dir string

	mu      sync.Mutex
	servers []*server // guarded by mu, in order of creation
	ports   []int     // guarded by mu
	serial  int       // guarded by mu; for names
	cert    *certificate
}

// New makes a bed in dir, which must be new or empty and is removed by Close.
// With an empty dir the bed makes a folder in memory if it can.
func New(dir string) (*Bed, error) {
	if dir == "" {
		scratch, err := scratchDir()
		if err != nil {
			return nil, fmt.Errorf("make bed: %w", err)
		}
		dir = scratch
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("make bed: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make bed: %w", err)
	}
	if found, err := os.ReadDir(dir); err != nil || len(found) > 0 {
		return nil, fmt.Errorf("make bed: %s is not empty (%w)", dir, errors.Join(err, os.ErrExist))
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the servers' users must pass
		return nil, fmt.Errorf("make bed: %w", err)
	}
	return &Bed{dir: dir}, nil
}

// ForTest makes a bed for the time of a test. If the test fails, the end of
// each server's log is written to the test's log.
func ForTest(t TB) *Bed {
	t.Helper()
	bed, err := New("")
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if f, ok := t.(interface{ Failed() bool }); ok && f.Failed() {
			t.Logf("%s", bed.LogTail())
		}
		if err := bed.Close(); err != nil {
			t.Logf("close bed: %v", err)
		}
	})
	return bed
}

// Dir returns the scratch folder.
func (b *Bed) Dir() string { return b.dir }

// LogTail returns the end of all servers' logs.
func (b *Bed) LogTail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all strings.Builder
	for _, s := range b.servers {
		all.WriteString(s.LogTail())
	}
	return all.String()
}

// Close ends all servers, gives the ports back and removes the folder. The
// servers are killed, since nothing they would put in order remains, and since
// Dovecot takes a second to stop in good order.
func (b *Bed) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.servers {
		_ = s.Kill() // fails if it does not run, which is as good
	}
	for _, port := range b.ports {
		ports.release(port)
	}
	b.servers, b.ports = nil, nil
	return os.RemoveAll(b.dir)
}

func (b *Bed) add(s *server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = append(b.servers, s)
}

// port takes a free port, which stays the bed's until Close.
func (b *Bed) port() (int, error) {
	port, err := ports.take()
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports = append(b.ports, port)
	return port, nil
}

// folder makes a folder for a server; names are short because unix sockets in
// it must stay below 108 bytes.
func (b *Bed) folder(kind string) (name, dir string, err error) {
	b.mu.Lock()
	b.serial++
	name = kind + strconv.Itoa(b.serial)
	b.mu.Unlock()
	dir = filepath.Join(b.dir, name)
	return name, dir, os.Mkdir(dir, 0o755)
}

// InMemory makes a folder for the time of a test, in memory where that is possible: for files whose writer waits for the disk
// where no test depends on that.
func InMemory(t TB) string {
	t.Helper()
	dir, err := scratchDir()
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("%v", err)
		}
	})
	return dir
}

const scratchPrefix = "imapferry-bed-"

// scratchDir prefers memory: mail servers sync a lot, and what a test has
// written nobody needs after a power cut. It first removes what beds of dead
// processes have left there.
func scratchDir() (string, error) {
	root := "/dev/shm"
	if syscall.Access(root, 2) != nil {
		root = ""
	} else {
		sweep(root)
	}
	return os.MkdirTemp(root, scratchPrefix+strconv.Itoa(os.Getpid())+"-")
}

func sweep(root string) {
	left, _ := filepath.Glob(filepath.Join(root, scratchPrefix+"*-*"))
	for _, dir := range left {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), scratchPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
}

package testbed

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// takePorts makes the test binary a second process that only takes ports.
const takePorts = "IMAPFERRY_TESTBED_TAKE_PORTS"

const portsEach = 200

func TestMain(m *testing.M) {
	if os.Getenv(takePorts) != "" {
		for range portsEach {
			port, err := ports.take()
			fmt.Println(port, err)
		}
		_, _ = io.Copy(io.Discard, os.Stdin) // ports are free again when their owner ends
		return
	}
	if kind := os.Getenv(startAndWait); kind != "" {
		fmt.Fprintln(os.Stderr, serveUntilKilled(kind))
		os.Exit(1)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // whatever the number of cores: they wait for servers to start, and for Courier
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// Ports are unique over goroutines and processes, as packages are tested side
// by side.
func TestPortsAreUnique(t *testing.T) {
	var mu sync.Mutex
	seen := map[int]bool{}
	take := func(port int) {
		mu.Lock()
		defer mu.Unlock()
		if seen[port] || port < firstPort || port > lastPort {
			t.Errorf("port %d came twice or is out of range", port)
		}
		seen[port] = true
	}
	var others []*portTaker
	for range 3 {
		others = append(others, startPortTaker(t))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				port, err := ports.take()
				if err != nil {
					t.Error(err)
					return
				}
				take(port)
			}
		})
	}
	wg.Wait()
	for _, o := range others {
		for range portsEach {
			take(o.next(t))
		}
	}
	for _, o := range others {
		o.in.Close()
	}
	for _, o := range others {
		if err := o.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	for port := range seen {
		ports.release(port)
	}
}

type portTaker struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Scanner
}

func startPortTaker(t *testing.T) *portTaker {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), takePorts+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &portTaker{cmd, in, bufio.NewScanner(out)}
}

func (o *portTaker) next(t *testing.T) int {
	t.Helper()
	o.out.Scan()
	first, _, _ := strings.Cut(o.out.Text(), " ")
	port, err := strconv.Atoi(first)
	if err != nil {
		t.Fatalf("other process: %q", o.out.Text())
	}
	return port
}

func TestPortInUseIsNotTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if free(l.Addr().(*net.TCPAddr).Port) {
		t.Error("a port with a listener counts as free")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	Need(t, "dovecot", "doveadm", "redis-server")
	bed, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	d, err := bed.Dovecot(DovecotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := bed.Redis(RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Freeze(); err != nil { // a frozen server must not keep the bed
		t.Fatal(err)
	}
	pids := []int{d.PID(), r.PID()}
	if err := bed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if pid == 0 || groupAlive(pid) {
			t.Errorf("process group %d is still there", pid)
		}
	}
	if _, err := os.Stat(bed.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder: %v", err)
	}
}

func TestFreeze(t *testing.T) {
	Need(t, "redis-server")
	r, err := ForTest(t).Redis(RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := r.Freeze(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "PING\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a frozen server answered %d bytes, %v", n, err)
	}
	if err := r.Thaw(); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(startWithin))
	if _, err := conn.Read(make([]byte, 9)); err != nil {
		t.Errorf("after Thaw: %v", err)
	}
}

func TestNewWantsAnEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(dir); err == nil {
		t.Error("a folder with a file in it was taken, and Close would remove it")
	}
}

// What a killed test left in memory is removed, what a living one has is not.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(root, fmt.Sprintf("%s%d-1", scratchPrefix, gone.Process.Pid))
	alive := filepath.Join(root, fmt.Sprintf("%s%d-1", scratchPrefix, os.Getpid()))
	for _, dir := range []string{dead, alive} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	sweep(root)
	if _, err := os.Stat(dead); err == nil {
		t.Error("the folder of a dead process is still there")
	}
	if _, err := os.Stat(alive); err != nil {
		t.Error("the folder of a living process is gone")
	}
}

type failing struct {
	TB
	said string
}

func (f *failing) Helper()                           {}
func (f *failing) Fatalf(format string, args ...any) { f.said = fmt.Sprintf(format, args...) }

func TestNeedNamesPackages(t *testing.T) {
	packages["no-such-server"] = "no-such-package"
	defer delete(packages, "no-such-server")
	var f failing
	Need(&f, "sh", "no-such-server")
	if want := "not installed: no-such-server; on Debian: apt-get install no-such-package"; f.said != want {
		t.Errorf("said %q; want %q", f.said, want)
	}
}

package proxybench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imapferry/internal/testbed"
)

// peer is one proxy that is measured.
type peer struct {
	name string
	*testbed.Program
}

// stage is where proxies are started: one backend serves all of them.
type stage struct {
	t       testing.TB
	bed     *testbed.Bed
	program string // imapferry
	addrs   [3]string
}

func newStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{t: t, bed: testbed.ForTest(t)}
	for i := range s.addrs {
		s.addrs[i] = fmt.Sprintf("127.0.0.1:%d", testbed.Port(t))
	}
	if _, err := s.bed.Program(s.addrs[0], append([]string{os.Args[0], "role=backend"}, s.addrs[:]...)...); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts a proxy by its name; one with a slash is another build of imapferry.
func (s *stage) start(name string) *peer {
	s.t.Helper()
	var p *testbed.Program
	var err error
	switch {
	case name == "nginx":
		p, err = s.bed.Nginx(s.addrs[2])
	case name == "haproxy":
		p, err = s.bed.HAProxy(s.addrs[0])
	case name == "dovecot":
		p, err = s.bed.DovecotProxy(s.addrs[0])
	case name == "iocopy":
		p, err = s.copyRelay()
	case name == "imapferry":
		p, err = s.imapferry(s.build())
	case strings.Contains(name, "/"):
		p, err = s.imapferry(name)
		name = filepath.Base(name)
	default:
		err = fmt.Errorf("unknown peer %q; known are %q and the path of a build of imapferry", name, allPeers)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return &peer{name, p}
}

// allPeers stand in the order of their turns: those beside which goals are set have theirs next to imapferry's.
var allPeers = []string{"iocopy", "imapferry", "nginx", "haproxy", "dovecot"}

// peers are those that are wanted, of some.
func peers(of ...string) []string {
	wanted := os.Getenv("IMAPFERRY_BENCH_PEERS")
	if wanted == "" {
		return of
	}
	return slices.DeleteFunc(strings.Split(wanted, ","), func(name string) bool {
		return slices.Contains(allPeers, name) && !slices.Contains(of, name)
	})
}

func (s *stage) copyRelay() (*testbed.Program, error) {
	cert, key, err := s.bed.Certificate()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", testbed.Port(s.t))
	return s.bed.Program(addr, os.Args[0], "role=iocopy", addr, s.addrs[0], cert, key)
}

// build makes the program as it is made for people.
func (s *stage) build() string {
	if s.program == "" {
		s.program = filepath.Join(s.bed.Dir(), "imapferry")
		if out, err := exec.Command("go", "build", "-trimpath", "-o", s.program, "imapferry/cmd/imapferry").CombinedOutput(); err != nil {
			s.t.Fatalf("build imapferry: %v\n%s", err, out)
		}
	}
	return s.program
}

// imapferry starts the program with two servers, of which all users are on the first: nobody is moved meanwhile.
func (s *stage) imapferry(program string) (*testbed.Program, error) {
	dir, err := os.MkdirTemp(s.bed.Dir(), "ferry")
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", testbed.Port(s.t))
	config, err := s.bed.Ferry(dir, testbed.Ferry{
		Addr:   addr,
		Source: fmt.Sprintf("url = \"imap://%s\"", s.addrs[0]),
		Target: fmt.Sprintf("url = \"imap://%s\"", s.addrs[1]),
		More:   "[migrate]\non_login = false\nonly = [\"nobody\"]",
	})
	if err != nil {
		return nil, err
	}
	return s.bed.Program(addr, program, "serve", "--config", config)
}

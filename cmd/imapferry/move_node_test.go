package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/proxy"
	"imapferry/tls"
)

// configure starts the node.
func (m *moving) configure(bed *testbed.Bed, target *testbed.Dovecot) {
	m.t.Helper()
	// Entered by the master user, a test chooses when the engine begins.
	login, policy := "login = \"master\"\nmaster_user = \"master\"\nmaster_password = \"masterpass\"\n", "on_login = false\n"
	if m.opt.manual {
		login, policy = "", "cutover = \"manual\"\n"
	}
	dir := m.dir(m.t)
	m.admin = "unix:" + dir + "/admin.sock"
	file, err := bed.Ferry(dir, testbed.Ferry{
		Source: fmt.Sprintf("url = \"imap://%s\"\n%s", m.gate.Addr(), login),
		Target: fmt.Sprintf("url = \"imap://%s\"\n%s%s", target.IMAP(), target.DoveadmLines(), login),
		More:   fmt.Sprintf("[migrate]\nhold_budget = %q\n%s", cmp.Or(m.opt.budget, "20s"), policy),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.startNode(dir, file)
}

// learn waits until the node knows what the target can: sessions that begin before are promised less.
func (m *moving) learn() {
	m.t.Helper()
	user := m.user()
	for limit := time.Now().Add(switchWithin); ; time.Sleep(10 * time.Millisecond) {
		c, err := testbed.Login(m.ctx, m.addr, user, "pass", m.ca())
		if err != nil {
			m.t.Fatal(err)
		}
		c.Close()
		if c.Has("SORT") {
			return
		}
		if time.Now().After(limit) {
			m.t.Fatalf("what the target can is not learned\n%s", m.log.about(user))
		}
	}
}

// dir makes a folder beside the servers: in memory, if they are.
func (m *moving) dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(m.scratch, "t")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startNode does what startNode of the program does, with a store that tells more.
func (m *moving) startNode(dir, file string) {
	m.t.Helper()
	cfg, err := loadConfig(file, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	n := &node{log: slog.New(slog.NewTextHandler(m.log, nil))}
	m.t.Cleanup(n.stop)
	if n.names, err = proxy.NewNames(cfg.Users); err != nil {
		m.t.Fatal(err)
	}
	if n.certs, err = tls.New(m.ctx, cfg.TLS, n.log); err != nil {
		m.t.Fatal(err)
	}
	store, err := openFile(filepath.Join(dir, "state.db"))
	if err != nil {
		m.t.Fatal(err)
	}
	m.store = &holdWatch{Store: store, users: map[string]*holding{}}
	n.store = m.store
	if n.journal, err = openJournal(filepath.Join(dir, "journal")); err != nil {
		m.t.Fatal(err)
	}
	source, err := backend.New("source", cfg.Source)
	if err != nil {
		m.t.Fatal(err)
	}
	target, err := backend.New("target", cfg.Target.Config)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := n.open(m.ctx, cfg, source, target); err != nil {
		m.t.Fatal(err)
	}
	m.node = n
	imaps, _ := n.server.Addrs()
	m.addr = imaps[0].String()
}

package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// moving is a node between two real servers. Its users are switched at a moment that a test chooses to the command:
//
//	client ──► node ──► gate ──► source        at the n-th command: keep it back, begin the cutover, wait until the
//	             └──────────────► target       node holds the user's sessions, let the command pass
//
// So the command that was kept back is the last one that the source answers, and whatever follows it, even in the same
// write, goes to the target.
type moving struct {
	t              testing.TB
	ctx            context.Context
	source, target imapServer
	cert           string // of all servers
	separator      string // of folder names
	prefix         string // of those other than INBOX
	gate           *testbed.Gate
	node           *node
	store          *holdWatch
	log            *logbook
	addr           string // of the node, implicit TLS
	admin          string
	scratch        string
	opt            movingOptions
	next           atomic.Int32 // user
}

type imapServer interface{ IMAP() string }

// moveUsers is how many users a moving has; an account serves for one switch.
const moveUsers = 1500

// switchWithin bounds a switch, on a machine that does other things as well.
const switchWithin = time.Minute

// movingOptions differ from one test to the other.
type movingOptions struct {
	from   string // the source, if it is not a Dovecot: cyrus or courier, both with manual
	plain  bool   // no doveadm at the target, so that UIDVALIDITY is rewritten
	manual bool   // users are copied before, wait for an operator's release, and sessions enter the target with the user's password
	budget string // of a hold; the default is more than a busy machine takes
	still  bool   // nobody is switched, and the source stands for the target: what a test wants must be true of that as well
}

func newMoving(t testing.TB, opt movingOptions) *moving {
	t.Helper()
	testbed.Need(t, "dovecot", "doveadm")
	n := moveUsers
	if opt.from != "" { // they make them one by one
		n = 60
	}
	users := map[string]string{}
	for i := range n {
		users[fmt.Sprintf("user%04d", i)] = "pass"
	}
	bed := testbed.ForTest(t)
	m := &moving{t: t, ctx: t.Context(), log: &logbook{}, scratch: bed.Dir(), opt: opt}
	m.separator = "/"
	var err error
	switch opt.from {
	case "cyrus":
		m.source, err = bed.Cyrus(testbed.CyrusOptions{Users: users, AltNamespace: true, Separator: "/"})
	case "courier":
		m.separator, m.prefix = ".", "INBOX."
		m.source, err = bed.Courier(testbed.CourierOptions{Users: users})
	default:
		m.source, err = bed.Dovecot(testbed.DovecotOptions{Format: "maildir", Users: users})
	}
	if err != nil {
		t.Fatal(err)
	}
	target, err := bed.Dovecot(testbed.DovecotOptions{
		Format: "mdbox", Users: users, Doveadm: !opt.plain, Separator: m.separator, Prefix: m.prefix,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.target, m.cert = target, target.CertFile
	if m.gate, err = testbed.OpenGate(m.source.IMAP(), opt.from == "courier"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.gate.Close)
	m.configure(bed, target)
	m.learn()
	if opt.still {
		m.target = m.source
	}
	return m
}

func (m *moving) ca() testbed.DialOption { return testbed.WithCA(m.cert) }

// user returns a user whom nothing has happened to.
func (m *moving) user() string {
	n := m.next.Add(1)
	if n >= moveUsers {
		m.t.Fatalf("more than %d users", moveUsers)
	}
	return fmt.Sprintf("user%04d", n)
}

// switchAt has the user switched at the n-th command from now on. What it returns ends that: it waits until the user is
// switched, and reports whether there were so many commands.
func (m *moving) switchAt(t testing.TB, user string, n int) (kept *testbed.Kept, wait func() bool) {
	kept = m.gate.Keep(user, n)
	over, done := make(chan struct{}), make(chan bool, 1)
	go func() {
		select {
		case <-kept.Reached():
			m.begin(t, user)
			m.awaitHold(t, user)
			kept.Pass()
			done <- true
		case <-over:
			kept.Pass()
			done <- false
		}
	}()
	return kept, func() bool {
		close(over)
		reached := <-done
		if reached {
			m.awaitSwitch(t, user)
		}
		return reached
	}
}

// ready has the user copied, where the cutover is left to an operator.
func (m *moving) ready(t testing.TB, user string) {
	t.Helper()
	if !m.opt.manual {
		return
	}
	c, err := testbed.Login(m.ctx, m.addr, user, "pass", m.ca())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	m.awaitRecord(t, user, "ready", func(r state.Record) bool { return strings.HasPrefix(r.Reason, "ready; waits for ") })
}

// begin lets the cutover of the user begin.
func (m *moving) begin(t testing.TB, user string) {
	if m.opt.still {
		return
	}
	command := "migrate"
	if m.opt.manual {
		command = "cutover"
	}
	if code, _, stderr := ferry(t, command, user, "--admin", m.admin); code != done {
		t.Errorf("%s %s: %s", command, user, stderr)
	}
}

// awaitHold waits until the node holds the user's sessions.
func (m *moving) awaitHold(t testing.TB, user string) {
	if m.opt.still {
		return
	}
	select {
	case <-m.store.holding(user):
	case <-time.After(switchWithin):
		rec, err := m.store.Store.Get(m.ctx, user)
		t.Errorf("no cutover of %s has begun: %+v, %v", user, rec, err)
	}
}

// awaitSwitch waits until the user is switched.
func (m *moving) awaitSwitch(t testing.TB, user string) {
	t.Helper()
	if m.opt.still {
		return
	}
	m.awaitRecord(t, user, "migrated", func(r state.Record) bool { return r.Phase == state.Migrated })
}

// awaitRecord waits until the user's record is as it should be.
func (m *moving) awaitRecord(t testing.TB, user, what string, is func(state.Record) bool) state.Record {
	t.Helper()
	for limit := time.Now().Add(switchWithin); ; time.Sleep(2 * time.Millisecond) {
		rec, err := m.store.Store.Get(m.ctx, user)
		if err == nil && is(rec) {
			return rec
		}
		if time.Now().After(limit) {
			t.Fatalf("%s is not %s: %+v, %v\n%s", user, what, rec, err, m.log.about(user))
		}
	}
}

// counted demands that of the user's sessions so many were moved at the switch, and none ended because of it.
func (m *moving) counted(t testing.TB, user string, moved int64) {
	t.Helper()
	if m.opt.still {
		return
	}
	rec := m.awaitRecord(t, user, "counted", func(r state.Record) bool { return r.Moved+r.Disconnected >= moved })
	if rec.Moved != moved || rec.Disconnected != 0 {
		t.Errorf("%d sessions moved, %d disconnected; want %d and none\n%s", rec.Moved, rec.Disconnected, moved, m.log.about(user))
	}
}

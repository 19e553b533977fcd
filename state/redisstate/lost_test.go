package redisstate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/redisstate"
)

// lossy stands between a store and its servers. While armed it lets the next script through, waits for the replies, and closes the
// connection in place of the first of them, or of the last one alone: that is the one of WAIT where answers are confirmed.
type lossy struct {
	last    bool
	instead string       // with last: the reply that comes in its place, and the connection stays
	armed   atomic.Int32 // how many replies are yet to be lost
	before  atomic.Pointer[func(request string)]
}

// tell has each request told before it is let through.
func (l *lossy) tell(before func(request string)) { l.before.Store(&before) }

func (l *lossy) through(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &lossyConn{Conn: conn, of: l}, err
	}
}

type lossyConn struct {
	net.Conn
	of     *lossy
	script bool // the last request had one
}

func (c *lossyConn) Write(b []byte) (int, error) {
	c.script = bytes.Contains(bytes.ToLower(b), []byte("eval"))
	if before := c.of.before.Load(); before != nil {
		(*before)(string(b))
	}
	return c.Conn.Write(b)
}

// numberLast is a reply to WAIT at the end of what was read.
var numberLast = regexp.MustCompile(`:\d+\r\n$`)

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil || !c.script {
		return n, err
	}
	if c.of.last {
		at := numberLast.FindIndex(b[:n])
		if at == nil || !c.of.lose() {
			return n, nil
		}
		n = at[0]
		if c.of.instead != "" {
			return n + copy(b[n:], c.of.instead), nil
		}
	} else if c.of.lose() {
		n = 0
	} else {
		return n, nil
	}
	c.Conn.Close()
	if n > 0 {
		return n, nil // the next read hears of the end
	}
	return 0, io.EOF
}

func (l *lossy) lose() bool {
	for {
		n := l.armed.Load()
		if n == 0 {
			return false
		}
		if l.armed.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func (f *fleet) openThrough(t *testing.T, l *lossy) *redisstate.Store {
	t.Helper()
	opts := redisstate.Options{Confirm: f.confirm, Log: slog.New(slog.DiscardHandler)}
	s, err := redisstate.OpenThrough(t.Context(), f.url, opts, l.through)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	trust(t, s)
	return s
}

// deposed is what a master says that is made a replica while it waits for replicas.
const deposed = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"

// When a reply is lost the operation has happened once, and the caller gets its answer; also if it is the confirmation that was lost, or
// that will not come.
func TestLostReply(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f := k.start(t)
			losesReplies(t, f, &lossy{})
			if f.confirm > 0 {
				for _, p := range []*lossy{{last: true}, {last: true, instead: deposed}} {
					f.empty(t)
					losesReplies(t, f, p)
				}
			}
		})
	}
}

func losesReplies(t *testing.T, f *fleet, p *lossy) {
	t.Helper()
	s := f.openThrough(t, p)
	ctx := t.Context()
	const long = time.Hour
	var l state.Lease
	var n state.Node
	losing := func(what string, run func() error) {
		t.Helper()
		p.armed.Store(1)
		if err := run(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if p.armed.Load() != 0 {
			t.Fatalf("%s: no reply was lost", what)
		}
	}
	check := func(what string, ok func(state.Record) bool) {
		t.Helper()
		rec, err := s.Get(ctx, "alice")
		if err != nil || !ok(rec) {
			t.Errorf("%s: %+v, %v", what, rec, err)
		}
	}
	advance := func(to state.Phase, c state.Change) func() error {
		return func() error { _, err := s.Advance(ctx, l, to, c); return err }
	}

	losing("offer", func() error { _, err := s.Offer(ctx, "alice"); return err })
	losing("join", func() (err error) { n, err = s.Join(ctx, "n", long); return err })
	losing("acquire", func() (err error) { l, _, err = s.Acquire(ctx, "alice", "w", long); return err })
	check("acquire", func(rec state.Record) bool { return rec.Epoch == 1 && l.Epoch == 1 })
	losing("advance", advance(state.Pending, state.Change{Retry: long}))
	check("advance", func(rec state.Record) bool { return rec.Attempts == 1 })
	losing("advance", advance(state.Copying, state.Change{}))
	losing("advance", advance(state.Tailing, state.Change{}))
	losing("tally", func() error { return s.Tally(ctx, "alice", 2, map[string]int64{"view": 3}) })
	check("tally", func(rec state.Record) bool { return rec.Moved == 2 && rec.Disconnected == 3 && rec.Ended["view"] == 3 })
	losing("begin", func() (err error) { l, _, err = s.BeginCutover(ctx, l, "x", long); return err })
	check("begin", func(rec state.Record) bool { return rec.Epoch == 2 && l.Epoch == 2 })
	losing("call off", func() error { return s.CallOff(ctx, l, "x", "") })
	l, _, err := s.BeginCutover(ctx, l, "y", long)
	if err != nil {
		t.Fatal(err)
	}
	losing("acknowledge", func() error {
		return s.Acknowledge(ctx, n, state.Hold{User: "alice", Epoch: l.Epoch, Attempt: "y"}, 0, nil)
	})
	losing("commit", func() error { return s.Commit(ctx, l, "y") })
	losing("switch", func() error { _, err := s.Switch(ctx, l, "y", time.Second); return err })
	check("switch", func(rec state.Record) bool { return rec.Phase == state.Migrated && rec.HoldMS == 1000 })
	if !p.last { // it is not confirmed
		losing("list", func() error { _, err := s.List(ctx, 0, "", 10); return err })
	}
	losing("inbox", func() error { _, err := s.Inbox(ctx, n); return err })
	losing("release", func() error { return s.Release(ctx, l) })
}

// A reply that is lost twice is an error that is none of the contract's: nothing is known.
func TestLostTwice(t *testing.T) {
	p := &lossy{}
	s := startStandalone(t).openThrough(t, p)
	p.armed.Store(1 << 20)
	if _, err := s.Offer(t.Context(), "alice"); err == nil {
		t.Error("an offer that was never answered succeeded")
	}
	if n := 1<<20 - p.armed.Swap(0); n != 2 {
		t.Errorf("it was sent %d times", n)
	}
	if _, err := s.Offer(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

// The store is emptied while somebody reads the folders of a user whose record was there a moment ago. To show none would let a node
// remember the user's switch without them, and show its clients the target's own UIDVALIDITY (I2).
func TestFoldersEmptied(t *testing.T) {
	f := startStandalone(t)
	c := raw(t, f.servers[0])
	p := &lossy{}
	s := f.openThrough(t, p)
	ctx := t.Context()
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
	must(t, err)
	must(t, s.PutFolders(ctx, l, state.Folder{Name: "INBOX", UIDValidity: 1, TargetUIDValidity: 2}))
	_, err = s.Get(ctx, "alice")
	must(t, err)
	var scripts atomic.Int32
	p.tell(func(request string) {
		if strings.Contains(strings.ToLower(request), "eval") && scripts.Add(1) == 2 {
			must(t, c.FlushAll(ctx).Err())
		}
	})
	if folders, err := s.Folders(ctx, "alice"); err == nil && len(folders) != 1 {
		t.Errorf("folders: %v", folders)
	} else if err != nil && !errors.Is(err, state.ErrReplaced) {
		t.Error(err)
	}
}

package redisstate_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/state"
)

// lossy stands between a store and Redis. While armed it lets the next request through, waits for the reply, and closes the connection in its place.
type lossy struct {
	listener net.Listener
	to       string
	armed    atomic.Int32 // how many replies are yet to be lost
	wg       sync.WaitGroup
}

func newLossy(t *testing.T, to string) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossy{listener: l, to: to}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *lossy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *lossy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	p.wg.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || p.lose() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *lossy) lose() bool {
	for {
		n := p.armed.Load()
		if n == 0 {
			return false
		}
		if p.armed.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// When a reply is lost the operation has happened once, and the caller gets its answer.
func TestLostReply(t *testing.T) {
	r := server(t)
	p := newLossy(t, r.Addr())
	s := open(t, "redis://"+p.listener.Addr().String())
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
	losing("tally", func() error { return s.Tally(ctx, "alice", 2, 3) })
	check("tally", func(rec state.Record) bool { return rec.Moved == 2 && rec.Disconnected == 3 })
	losing("begin", func() (err error) { l, _, err = s.BeginCutover(ctx, l, "x", long); return err })
	check("begin", func(rec state.Record) bool { return rec.Epoch == 2 && l.Epoch == 2 })
	losing("call off", func() error { return s.CallOff(ctx, l, "x", "") })
	l, _, err := s.BeginCutover(ctx, l, "y", long)
	if err != nil {
		t.Fatal(err)
	}
	losing("acknowledge", func() error {
		return s.Acknowledge(ctx, n, state.Hold{User: "alice", Epoch: l.Epoch, Attempt: "y"})
	})
	losing("commit", func() error { return s.Commit(ctx, l, "y") })
	losing("switch", func() error { _, err := s.Switch(ctx, l, "y", time.Second); return err })
	check("switch", func(rec state.Record) bool { return rec.Phase == state.Migrated && rec.HoldMS == 1000 })
	losing("list", func() error { _, err := s.List(ctx, 0, "", 10); return err })
	losing("inbox", func() error { _, err := s.Inbox(ctx, n); return err })
	losing("release", func() error { return s.Release(ctx, l) })
}

// A reply that is lost twice is an error that is none of the contract's: nothing is known.
func TestLostTwice(t *testing.T) {
	p := newLossy(t, server(t).Addr())
	s := open(t, "redis://"+p.listener.Addr().String())
	p.armed.Store(1 << 20)
	if _, err := s.Offer(t.Context(), "alice"); err == nil {
		t.Error("an offer that was never answered succeeded")
	}
	p.armed.Store(0)
	if _, err := s.Offer(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
}

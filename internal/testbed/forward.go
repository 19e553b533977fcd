package testbed

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ForwardOptions says what a Forwarder does to the connections it forwards.
// The zero value lets everything pass at once.
type ForwardOptions struct {
	Up, Down Way  // client to target, target to client
	Reset    bool // a cut is a RST; otherwise what was sent before it still arrives, and then an end
}

// Way is one direction of all connections.
type Way struct {
	// Delay is how long a byte is under way. It does not limit how many are, up
	// to 8 MB per connection.
	Delay time.Duration
	// CutAfter cuts a connection once so many bytes have passed since it was made
	// or, if it is older, since the options were set. 0 is never.
	CutAfter int64
	// BlackHole lets nothing pass, not even an end, until it is lifted. Nothing is
	// lost: TCP would send it again.
	BlackHole bool
}

// ForwardStats counts since the start.
type ForwardStats struct {
	Conns, Open, Refused int64 // refused is what came beyond 4096 at once
	Up, Down             int64 // bytes that have passed
}

const maxForwarded = 4096

// Forwarder stands between clients and a server and makes the network bad. Its
// options may change at any time.
type Forwarder struct {
	target string
	listen net.Listener
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	conns, open, refused, up, down atomic.Int64

	mu      sync.Mutex
	opt     ForwardOptions     // guarded by mu
	epoch   int                // guarded by mu; counts changes of opt
	changed chan struct{}      // guarded by mu; closed when opt changes
	links   map[*link]struct{} // guarded by mu
}

// Forward listens on a free port of loopback and forwards to target until
// Close.
func Forward(target string, opt ForwardOptions) (*Forwarder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("forward to %s: %w", target, err)
	}
	f := &Forwarder{target: target, listen: l, opt: opt, changed: make(chan struct{}), links: map[*link]struct{}{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wg.Go(f.accept)
	return f, nil
}

// Addr returns the address that clients are given.
func (f *Forwarder) Addr() string { return f.listen.Addr().String() }

// Set changes the options of all connections, present and future. Bytes that
// are already under way arrive when they were due.
func (f *Forwarder) Set(opt ForwardOptions) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opt = opt
	f.epoch++
	close(f.changed)
	f.changed = make(chan struct{})
}

// Cut cuts all connections at once; what is under way is lost. New ones may be
// made.
func (f *Forwarder) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.links {
		l.cut(f.opt.Reset)
	}
}

// Stats tells what has passed.
func (f *Forwarder) Stats() ForwardStats {
	return ForwardStats{
		Conns: f.conns.Load(), Open: f.open.Load(), Refused: f.refused.Load(),
		Up: f.up.Load(), Down: f.down.Load(),
	}
}

// Close ends all connections and waits until nothing of the forwarder runs.
func (f *Forwarder) Close() {
	f.cancel()
	_ = f.listen.Close()
	f.mu.Lock()
	for l := range f.links {
		l.abort()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// regime is what holds for one direction at a moment.
type regime struct {
	Way
	reset   bool
	epoch   int
	changed <-chan struct{} // closed when it holds no longer
}

func (f *Forwarder) upward() regime {
	opt, r := f.options()
	r.Way = opt.Up
	return r
}

func (f *Forwarder) downward() regime {
	opt, r := f.options()
	r.Way = opt.Down
	return r
}

func (f *Forwarder) options() (ForwardOptions, regime) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opt, regime{reset: f.opt.Reset, epoch: f.epoch, changed: f.changed}
}

func (f *Forwarder) accept() {
	for {
		conn, err := f.listen.Accept()
		if err != nil {
			return // closed
		}
		if f.open.Load() >= maxForwarded {
			f.refused.Add(1)
			reset(conn)
			continue
		}
		f.conns.Add(1)
		f.open.Add(1)
		f.wg.Go(func() { f.serve(conn) })
	}
}

// serve forwards one connection.
func (f *Forwarder) serve(client net.Conn) {
	defer f.open.Add(-1)
	l := newLink(client)
	f.mu.Lock()
	f.links[l] = struct{}{}
	f.mu.Unlock()
	if target, err := f.dial(l.done); err != nil {
		reset(client)
	} else if f.attach(l, target) {
		l.run(f)
	}
	l.abort()
	f.mu.Lock()
	delete(f.links, l)
	f.mu.Unlock()
}

// attach is false if the connection has been cut meanwhile.
func (f *Forwarder) attach(l *link, target net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.target = target
	return !l.isCut.Load() && f.ctx.Err() == nil
}

// dial takes as long as a handshake over the delayed way would: the client's
// end of it is made by this machine at once, so its three steps are paid for
// here.
func (f *Forwarder) dial(done <-chan struct{}) (net.Conn, error) {
	began := time.Now()
	for {
		opt, now := f.options()
		left := time.Until(began.Add(2*opt.Up.Delay + opt.Down.Delay))
		if left <= 0 && !opt.Up.BlackHole && !opt.Down.BlackHole {
			return (&net.Dialer{}).DialContext(f.ctx, "tcp", f.target)
		}
		if err := f.wait(left, now.changed, done); err != nil {
			return nil, err
		}
	}
}

// wait waits for other options, and for d to pass unless it has.
func (f *Forwarder) wait(d time.Duration, changed, done <-chan struct{}) error {
	var due <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-f.ctx.Done():
		return f.ctx.Err()
	case <-done:
		return errCut
	case <-changed:
	case <-due:
	}
	return nil
}

// reset closes a connection with a RST.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

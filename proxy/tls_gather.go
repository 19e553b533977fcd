package proxy

import (
	cryptotls "crypto/tls"
	"net"
	"sync"
)

// gatherSize holds the records of one full outbox. crypto/tls begins a connection with records of about 1,200 bytes,
// each 22 longer than what it carries.
const gatherSize = outboxSize + 4<<10

var gatherPool = sync.Pool{New: func() any { return new([gatherSize]byte) }}

// recordExtra is what a TLS 1.3 record has beside what it carries: header, type and authentication tag (RFC 8446, 5.2).
// All cipher suites have the same, and crypto/tls does not pad.
const recordExtra = 5 + 1 + 16

// gatherer lies below crypto/tls and sends the records of one write together. By itself crypto/tls makes a system call
// for each record, which is two thirds of what the transfer of a large message costs.
//
// It never keeps anything when the write that it was told of is over: what crypto/tls writes on its own account in
// between, such as an alert, makes it send earlier. The last record is sent from within the write, so that crypto/tls
// hears of errors, and of a close meanwhile.
type gatherer struct {
	net.Conn

	mu   sync.Mutex
	left int               // guarded by mu; bytes of the write that have not come yet
	buf  *[gatherSize]byte // guarded by mu; nil if empty
	n    int               // guarded by mu
}

// gathererBelow returns the gatherer of a connection, or nil if there is none or its records are not of the known length.
func gathererBelow(conn net.Conn) *gatherer {
	tc, ok := conn.(*cryptotls.Conn)
	if !ok || tc.ConnectionState().Version != cryptotls.VersionTLS13 {
		return nil
	}
	g, _ := tc.NetConn().(*gatherer)
	return g
}

// NetConn returns what lies below.
func (g *gatherer) NetConn() net.Conn { return g.Conn }

// expect announces a write of n bytes. A nil gatherer does nothing.
func (g *gatherer) expect(n int) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = n
}

// Write takes one record.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left -= len(p) - recordExtra
	if g.left <= 0 && g.n == 0 || len(p) > gatherSize {
		return g.Conn.Write(p)
	}
	if g.n+len(p) > gatherSize {
		if err := g.flush(); err != nil {
			return 0, err
		}
	}
	if g.buf == nil {
		g.buf = gatherPool.Get().(*[gatherSize]byte)
	}
	g.n += copy(g.buf[g.n:], p)
	if g.left > 0 {
		return len(p), nil
	}
	if err := g.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush sends what was gathered. The caller holds mu.
func (g *gatherer) flush() error {
	_, err := g.Conn.Write(g.buf[:g.n])
	gatherPool.Put(g.buf)
	g.buf, g.n = nil, 0
	return err
}

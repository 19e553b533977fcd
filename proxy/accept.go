package proxy

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// Bounds of accepting.
const (
	acceptPause   = 100 * time.Millisecond // after an error such as too many open files
	headerTimeout = 3 * time.Second        // for a PROXY header: balancers send it at once, health checks without one wait so long for the greeting
)

type listener struct {
	net.Listener
	tls bool
}

// accept gives each connection a session until the listener is closed.
func (s *Server) accept(ctx, stop context.Context, l listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.cfg.Log.Error("accept", "err", err)
			if wait(stop, nil, acceptPause) != nil {
				return
			}
			continue
		}
		if !s.limits.take() {
			s.cfg.Log.Warn("too many sessions; connection refused", "remote", conn.RemoteAddr().String())
			turnAway(conn, l.tls)
			continue
		}
		s.sessions.Go(func() { s.welcome(ctx, stop, conn, l.tls) })
	}
}

// welcome finds out who the client is and begins the session.
func (s *Server) welcome(ctx, stop context.Context, conn net.Conn, tls bool) {
	admitted := false
	defer func() {
		if !admitted {
			s.limits.give()
		}
	}()
	release := context.AfterFunc(ctx, func() { conn.Close() })
	defer release()
	if s.believes(conn.RemoteAddr()) {
		p := proxyproto.NewConn(conn, proxyproto.WithPolicy(proxyproto.USE), proxyproto.SetReadHeaderTimeout(headerTimeout))
		conn = p
		p.RemoteAddr() // reads the header
	}
	client := backend.Client{Remote: addrPort(conn.RemoteAddr()), Local: addrPort(conn.LocalAddr()), Session: sessionID()}
	log := s.cfg.Log.With("session", client.Session, "remote", client.Remote.String())
	if !s.limits.enter(client.Remote.Addr()) {
		log.Warn("too many sessions from one address; connection refused")
		turnAway(conn, tls)
		return
	}
	admitted = true // the session gives it back
	ses := &session{srv: s, log: log, raw: conn, conn: conn, client: client, implicitTLS: tls}
	if !tls {
		ses.r = wire.NewReader(&clearReader{Conn: conn}, 0)
	}
	ses.live(stop)
}

func (s *Server) believes(a net.Addr) bool {
	addr := addrPort(a).Addr()
	for _, p := range s.cfg.ProxyFrom {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// turnAway closes a connection for which there is no room, with a word where no handshake comes before it.
func turnAway(conn net.Conn, tls bool) {
	if !tls {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(conn, "* BYE [LIMIT] too many connections\r\n")
	}
	conn.Close()
}

func sessionID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// limits bounds how many sessions there are, in all and from one address. It is safe for concurrent use.
type limits struct {
	total, perAddr int

	mu     sync.Mutex
	n      int                  // guarded by mu
	byAddr map[netip.Prefix]int // guarded by mu
}

func newLimits(total, perAddr int) *limits {
	return &limits{total: total, perAddr: perAddr, byAddr: map[netip.Prefix]int{}}
}

func (l *limits) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n >= l.total {
		return false
	}
	l.n++
	return true
}

func (l *limits) give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
}

func (l *limits) enter(a netip.Addr) bool {
	net := network(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAddr[net] >= l.perAddr {
		return false
	}
	l.byAddr[net]++
	return true
}

func (l *limits) leave(a netip.Addr) {
	net := network(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byAddr[net]--; l.byAddr[net] == 0 {
		delete(l.byAddr, net)
	}
}

// network is what counts as one client: an IPv4 address, or the /64 that one IPv6 customer has at least.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}

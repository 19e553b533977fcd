package proxy

import (
	"context"
	cryptotls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// Bounds of a session before its login.
const (
	handshakeTimeout = 10 * time.Second
	replyTimeout     = 30 * time.Second // for a reply: a client that reads nothing holds nothing up
	maxBad           = 10               // wrong commands
	maxFailed        = 5                // logins
	lingerBytes      = 256 << 10
)

// session is one client connection. It is owned by its goroutine until the login; then the relay has it, and it has no
// goroutine of its own.
type session struct {
	srv     *Server
	log     *slog.Logger
	started time.Time
	raw     net.Conn // deadlines are set here, below TLS
	// conn and r are the client's side; writes go to conn, reads come from r.
	conn   net.Conn
	r      *wire.Reader
	client backend.Client

	implicitTLS bool
	tls         bool
	until       time.Time // the login must be through
	draining    context.Context
	bads, fails int
	entered     *entry // set by the login that succeeded
	done        bool   // LOGOUT
}

// live is the session's life up to the login; whoever gets in is relayed when it returns. stop ends when the server is
// asked to stop.
func (s *session) live(stop context.Context) {
	s.started = time.Now()
	s.draining = stop
	s.log.Info("session started", "tls", s.implicitTLS)
	if err := s.admitted(stop); err != nil {
		s.end(relayStats{}, err)
		return
	}
	s.draining = nil
	_ = s.raw.SetDeadline(time.Time{}) // from here the relay sets its own
	s.srv.sessions.Add(1)
	s.entered.relay.start(s.relayed)
}

// relayed is called when the relay has ended.
func (s *session) relayed(stats relayStats) {
	defer s.srv.sessions.Done()
	s.entered.seat.leave()
	err := &ending{reason: string(stats.Reason)}
	if stats.Err != nil {
		err.reason = fmt.Sprintf("%s: %v", stats.Reason, stats.Err)
	}
	s.end(stats, err)
}

// end says why the session ends, to the client where that can help, and gives back its place.
func (s *session) end(stats relayStats, err error) {
	end := endOf(err)
	if end.bye != "" {
		s.bye(end.bye)
	}
	s.conn.Close() // whatever it is by now: TLS says goodbye first
	s.srv.limits.leave(s.client.Remote.Addr())
	s.srv.limits.give()
	s.log.Info("session ended", "reason", end.reason, "bytes_in", stats.ToBackend, "bytes_out", stats.ToClient,
		"seconds", int64(time.Since(s.started).Seconds()))
}

// admitted is the dialogue up to a login that succeeds.
func (s *session) admitted(stop context.Context) error {
	wake := context.AfterFunc(stop, func() { _ = s.raw.SetReadDeadline(time.Unix(1, 0)) })
	defer wake()
	if s.implicitTLS {
		if err := s.handshake(stop); err != nil {
			return err
		}
	}
	s.until = time.Now().Add(s.srv.loginTime)
	if err := s.greet(); err != nil {
		return err
	}
	if err := s.converse(stop); err != nil {
		if s.entered != nil { // the client was gone before it heard that it is in
			s.entered.drop()
		}
		return err
	}
	return nil
}

func (s *session) greet() error {
	return s.write("* OK [CAPABILITY " + s.capabilities() + "] imapferry ready\r\n")
}

// handshake puts TLS over the client's connection; whoever fails it hears in clear text why, if that can help.
func (s *session) handshake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	tc := cryptotls.Server(&gatherer{Conn: s.raw}, s.srv.cfg.TLS)
	err := tc.HandshakeContext(ctx)
	var notTLS cryptotls.RecordHeaderError
	if errors.As(err, &notTLS) && notTLS.Conn != nil {
		return &ending{"clear text instead of a tls handshake", "a TLS handshake was expected here"}
	}
	if err != nil {
		return &ending{reason: "tls handshake: " + err.Error()}
	}
	s.conn, s.tls = tc, true
	if s.r == nil {
		s.r = wire.NewReader(tc, 0)
	} else {
		s.r.Source(tc)
	}
	return nil
}

// arm sets the deadline of reads: that of the login, or none at all once the server stops.
func (s *session) arm() {
	_ = s.raw.SetReadDeadline(s.until)
	if s.draining.Err() != nil { // after SetReadDeadline: the watcher of draining has then run before it, or runs after it
		_ = s.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

func (s *session) write(lines string) error {
	_ = s.raw.SetWriteDeadline(time.Now().Add(replyTimeout))
	_, err := io.WriteString(s.conn, lines)
	return err
}

// bye says why the session ends, and reads on for a moment: a connection closed over unread bytes is reset, and the
// reset can overtake what was said.
func (s *session) bye(text string) {
	if s.write("* BYE "+text+"\r\n") != nil {
		return
	}
	_ = s.raw.SetDeadline(time.Now().Add(lingerLimit))
	if tc, ok := s.conn.(*cryptotls.Conn); ok {
		_ = tc.CloseWrite()
	}
	raw := s.raw
	if p, ok := raw.(*proxyproto.Conn); ok {
		raw = p.Raw()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, raw, lingerBytes)
}

// addrPort returns the address of a TCP connection.
func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// clearReader watches for a TLS handshake where clear text is due. It would hold no line end, and the client would wait.
type clearReader struct {
	net.Conn
	begun bool
}

func (c *clearReader) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.begun {
		c.begun = true
		const handshakeRecord = 0x16 // RFC 8446, 5.1
		if p[0] == handshakeRecord {
			return 0, errTLSNoise
		}
	}
	return n, err
}

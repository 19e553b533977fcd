package proxy

import (
	"context"
	cryptotls "crypto/tls"
	"errors"
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

// session is one client connection. It is owned by its goroutine.
type session struct {
	srv *Server
	log *slog.Logger
	raw net.Conn // deadlines are set here, below TLS
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

// live is the session's life. stop ends when the server is asked to stop, ctx when it does not wait any longer.
func (s *session) live(ctx, stop context.Context) {
	defer func() { s.conn.Close() }() // whatever it is by then: TLS says goodbye first
	started := time.Now()
	s.draining = stop
	s.log.Info("session started", "tls", s.implicitTLS)
	stats, err := s.serve(ctx, stop)
	end := endOf(err)
	if end.bye != "" {
		s.bye(end.bye)
	}
	s.log.Info("session ended", "reason", end.reason, "bytes_in", stats.ToBackend, "bytes_out", stats.ToClient,
		"seconds", int64(time.Since(started).Seconds()))
}

func (s *session) serve(ctx, stop context.Context) (relayStats, error) {
	wake := context.AfterFunc(stop, func() { _ = s.raw.SetReadDeadline(time.Unix(1, 0)) })
	defer wake()
	if s.implicitTLS {
		if err := s.handshake(stop); err != nil {
			return relayStats{}, err
		}
	}
	s.until = time.Now().Add(s.srv.loginTime)
	if err := s.greet(); err != nil {
		return relayStats{}, err
	}
	if err := s.converse(stop); err != nil {
		if s.entered != nil { // the client was gone before it heard that it is in
			s.entered.drop()
		}
		return relayStats{}, err
	}
	wake()
	_ = s.raw.SetDeadline(time.Time{}) // from here the relay sets its own
	return s.entered.serve(ctx, stop)
}

func (s *session) greet() error {
	return s.write("* OK [CAPABILITY " + s.capabilities() + "] imapferry ready\r\n")
}

// handshake puts TLS over the client's connection; whoever fails it hears in clear text why, if that can help.
func (s *session) handshake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	tc := cryptotls.Server(s.raw, s.srv.cfg.TLS)
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

// bye says why the session ends, and reads on for a moment: a connection closed over unread bytes is reset, and the reset can overtake
// what was said.
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

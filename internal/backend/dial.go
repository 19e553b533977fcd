package backend

import (
	"context"
	cryptotls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pires/go-proxyproto"

	"imapferry/internal/wire"
)

// Bounds of the dialogue before the login is through.
const (
	connectTimeout = 10 * time.Second // TCP and TLS: a server that is up answers in a few round trips
	openTimeout    = 30 * time.Second // all of Dial: a server may accept and then say nothing
	maxResponse    = 64 << 10         // bytes of one response with its literals
	maxResponses   = 100              // untagged responses to one command
)

// Client is the mail client on whose behalf the connection is made; servers log it and limit by it.
type Client struct {
	Remote, Local netip.AddrPort
	Session       string
}

// Conn is a connection to a backend. R holds what was read ahead: read from it, never from the net.Conn.
type Conn struct {
	net.Conn
	R    *wire.Reader
	Caps Caps // as last told by the server

	backend  *Backend
	tag      int
	untagged [][]byte // of the command under way
}

// Refused is the server's own refusal of a command: it could be asked, and said no.
type Refused struct {
	Backend string // source or target
	Command string // without arguments
	Status  string // NO, BAD or BYE
	Code    string // response code without brackets, may be empty
	Text    string // for people: logs and records; without what would show a secret

	said string // the server's own words
}

// Said returns the server's own words, which may repeat the secret: they are for the client alone who has sent it.
func (e *Refused) Said() string { return e.said }

func (e *Refused) Error() string {
	text := e.Text
	if e.Code != "" {
		text = "[" + e.Code + "] " + text
	}
	return fmt.Sprintf("%s refused %s: %s %s", e.Backend, e.Command, e.Status, text)
}

// Dial connects, reads the greeting, learns the capabilities and, if client is not nil, tells the server about it. The
// deadline and the end of ctx hold for all of it; afterwards the connection has no deadline.
func (b *Backend) Dial(ctx context.Context, client *Client) (*Conn, error) {
	c, err := b.dial(ctx, client)
	if err != nil {
		var refused *Refused
		if errors.As(err, &refused) {
			return nil, err
		}
		return nil, fmt.Errorf("dial %s %s: %w", b.name, b.addr, err)
	}
	return c, nil
}

func (b *Backend) dial(ctx context.Context, client *Client) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	dialer := net.Dialer{Timeout: connectTimeout, KeepAlive: time.Minute}
	nc, err := dialer.DialContext(ctx, "tcp", b.addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: nc, R: wire.NewReader(nc, 0), backend: b}
	err = c.within(ctx, func() error { return c.open(ctx, client) })
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(ctx context.Context, client *Client) error {
	b := c.backend
	if b.cfg.ForwardClient == "proxy-protocol" {
		if err := c.sendProxyHeader(client); err != nil {
			return err
		}
	}
	if b.tls != nil && !b.starttls {
		if err := c.startTLS(ctx); err != nil {
			return err
		}
	}
	if err := c.greeting(); err != nil {
		return err
	}
	if b.starttls {
		if _, err := c.Command("STARTTLS"); err != nil {
			return err
		}
		if n := c.R.Discard(); n > 0 {
			return fmt.Errorf("%d bytes in clear text behind the STARTTLS reply", n)
		}
		if err := c.startTLS(ctx); err != nil {
			return err
		}
		c.Caps = nil // RFC 9051, 6.2.1: what was said in clear text counts no more
	}
	if c.Caps == nil {
		if err := c.askCaps(); err != nil {
			return err
		}
	}
	if b.cfg.ForwardClient == "id" && client != nil && c.Caps.Has("ID") {
		return c.sendID(client)
	}
	return nil
}

func (c *Conn) startTLS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	tc := cryptotls.Client(c.Conn, c.backend.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("tls handshake: %w", err)
	}
	c.Conn = tc
	c.R.Source(tc)
	return nil
}

func (c *Conn) greeting() error {
	line, err := c.readResponse()
	if err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	status, text, ok := untaggedStatus(line)
	switch {
	case ok && status == "OK":
		c.noteCode(text)
		return nil
	case ok && status == "BYE":
		return c.refused("connection", status, text)
	}
	return fmt.Errorf("greeting is not IMAP: %s", wire.Quoted(clip(line)))
}

// sendProxyHeader tells the client's address in a PROXY v2 header, or that there is no client.
func (c *Conn) sendProxyHeader(client *Client) error {
	h := &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	if client != nil {
		h = proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(client.Remote), net.TCPAddrFromAddrPort(client.Local))
	}
	_, err := h.WriteTo(c.Conn)
	return err
}

// sendID forwards the client's address by the parameters that Dovecot and others take from trusted networks. A server
// that refuses is no obstacle: RFC 2971 gives ID no effect.
func (c *Conn) sendID(client *Client) error {
	params := []string{
		"x-originating-ip", client.Remote.Addr().Unmap().String(),
		"x-originating-port", strconv.Itoa(int(client.Remote.Port())),
		"x-connected-ip", client.Local.Addr().Unmap().String(),
		"x-connected-port", strconv.Itoa(int(client.Local.Port())),
		"x-session-id", client.Session,
	}
	for i, p := range params {
		params[i] = wire.Quoted(p)
	}
	_, err := c.Command("ID (" + strings.Join(params, " ") + ")")
	var refused *Refused
	if errors.As(err, &refused) && refused.Status != "BYE" {
		return nil
	}
	return err
}

// within runs f with the connection's deadline bound to ctx, and clears the deadline afterwards. If ctx ended, its
// error is the cause.
func (c *Conn) within(ctx context.Context, f func() error) error {
	raw := c.Conn
	if t, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(t); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() || ctx.Err() != nil {
		if err == nil {
			err = ctx.Err()
		}
		return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

package testbed

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// commandWithin bounds the wait for one response.
const commandWithin = 60 * time.Second

// Client is a plain IMAP client that sends what it is told and gives back what
// the server says, names and literals as bytes. It serves one goroutine.
type Client struct {
	conn net.Conn
	r    respReader
	w    *bufio.Writer
	stop func() bool
	tag  int
	caps []string
}

// DialOption changes how a server is reached.
type DialOption func(*dialing)

type dialing struct{ caFile string }

// WithCA reaches the server by TLS from the first byte and trusts the PEM
// certificates in file, and no others.
func WithCA(file string) DialOption { return func(d *dialing) { d.caFile = file } }

// Dial connects to addr and reads the greeting. The connection ends with ctx.
func Dial(ctx context.Context, addr string, opts ...DialOption) (*Client, error) {
	var how dialing
	for _, opt := range opts {
		opt(&how)
	}
	conn, err := how.dial(ctx, addr)
	if err != nil {
		err = cmp.Or(ctx.Err(), err) // else a test whose time is up seems to have a server that takes no connections
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	c := &Client{
		conn: conn, r: respReader{bufio.NewReaderSize(conn, 64<<10)}, w: bufio.NewWriterSize(conn, 64<<10),
		stop: context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}
	hello, err := c.read()
	if err == nil && hello.Status != "OK" {
		err = fmt.Errorf("greeted with %s %s", hello.Status, hello.Text)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return c, nil
}

func (how dialing) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn = acknowledging(conn)
	if how.caFile == "" {
		return conn, nil
	}
	secure, err := how.handshake(ctx, conn, addr)
	if err != nil {
		_ = conn.Close()
	}
	return secure, err
}

func (how dialing) handshake(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	pem, err := os.ReadFile(how.caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", how.caFile)
	}
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: name})
	return secure, secure.HandshakeContext(ctx)
}

// Login dials, logs in and asks for the capabilities.
func Login(ctx context.Context, addr, user, pass string, opts ...DialOption) (*Client, error) {
	c, err := Dial(ctx, addr, opts...)
	if err != nil {
		return nil, err
	}
	if _, err := c.Do("LOGIN ", Quote(user), " ", Quote(pass)); err != nil {
		c.Close()
		return nil, fmt.Errorf("log in as %s: %w", user, err)
	}
	replies, err := c.Do("CAPABILITY")
	if err != nil {
		c.Close()
		return nil, err
	}
	for _, r := range replies {
		if len(r.Values) > 0 && r.Values[0].Text == "CAPABILITY" {
			for _, v := range r.Values[1:] {
				c.caps = append(c.caps, strings.ToUpper(v.Text))
			}
		}
	}
	return c, nil
}

// Has reports whether the server named the capability after login.
func (c *Client) Has(capability string) bool { return slices.Contains(c.caps, capability) }

// Close ends the connection without a word.
func (c *Client) Close() {
	c.stop()
	_ = c.conn.Close()
}

// Logout says goodbye and closes the connection.
func (c *Client) Logout() error {
	defer c.Close()
	_, err := c.Do("LOGOUT")
	return err
}

// RefusedError is a tagged NO or BAD.
type RefusedError struct{ Response }

func (e *RefusedError) Error() string {
	if e.Code != "" {
		return fmt.Sprintf("%s [%s] %s", e.Status, e.Code, e.Text)
	}
	return e.Status + " " + e.Text
}

func refused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r)
}

// Literal is a part of a command that is sent as a literal.
type Literal string

// Do sends a command and returns all responses, the tagged one last. Parts are
// strings, sent as they are, and Literals. A NO or BAD is a *RefusedError.
func (c *Client) Do(parts ...any) ([]Response, error) {
	var all []Response
	err := c.each(func(r Response) error { all = append(all, r); return nil }, parts...)
	return all, err
}

// each is Do for answers that should not be held in memory all at once.
func (c *Client) each(handle func(Response) error, parts ...any) error {
	tag, err := c.send(handle, parts...)
	if err != nil {
		return err
	}
	return c.finish(tag, handle)
}

// send writes a command and returns its tag. A literal waits for the server's
// consent unless the server knows LITERAL+ (RFC 7888).
func (c *Client) send(handle func(Response) error, parts ...any) (string, error) {
	c.tag++
	tag := fmt.Sprintf("t%d", c.tag)
	plus := c.Has("LITERAL+")
	c.write(tag + " ")
	for _, part := range parts {
		lit, ok := part.(Literal)
		switch {
		case !ok:
			c.write(part.(string))
		case plus:
			c.write(fmt.Sprintf("{%d+}\r\n", len(lit)))
			c.write(string(lit))
		default:
			c.write(fmt.Sprintf("{%d}\r\n", len(lit)))
			if err := c.consent(tag, handle); err != nil {
				return tag, err
			}
			c.write(string(lit))
		}
	}
	c.write("\r\n")
	return tag, c.w.Flush()
}

// write keeps its error in the buffered writer, until Flush.
func (c *Client) write(s string) {
	_ = c.conn.SetWriteDeadline(time.Now().Add(commandWithin))
	_, _ = c.w.WriteString(s)
}

// consent waits for the "+" that a synchronizing literal needs.
func (c *Client) consent(tag string, handle func(Response) error) error {
	if err := c.w.Flush(); err != nil {
		return err
	}
	for {
		r, err := c.read()
		if err != nil {
			return err
		}
		switch r.Tag {
		case "+":
			return nil
		case tag:
			return &RefusedError{r}
		}
		if err := handle(r); err != nil {
			return err
		}
	}
}

// finish reads up to the tagged response.
func (c *Client) finish(tag string, handle func(Response) error) error {
	for {
		r, err := c.read()
		if err != nil {
			return err
		}
		if err := handle(r); err != nil {
			return err
		}
		switch {
		case r.Tag != tag:
		case r.Status == "OK":
			return nil
		default:
			return &RefusedError{r}
		}
	}
}

// Idle idles for as long as d, and returns how long the server let wait at the beginning and at the end.
func (c *Client) Idle(d time.Duration) (waited time.Duration, err error) {
	drop := func(Response) error { return nil }
	began := time.Now()
	tag, err := c.send(drop, "IDLE")
	if err == nil {
		err = c.consent(tag, drop)
	}
	if err != nil {
		return 0, err
	}
	waited = time.Since(began)
	time.Sleep(d)
	began = time.Now()
	c.write("DONE\r\n")
	if err := c.w.Flush(); err != nil {
		return 0, err
	}
	err = c.finish(tag, drop)
	return waited + time.Since(began), err
}

func (c *Client) read() (Response, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(commandWithin)); err != nil {
		return Response{}, err
	}
	return c.r.next()
}

// Quote makes an argument of s: quoted where RFC 3501 allows it, else a literal.
func Quote(s string) any {
	for i := range len(s) {
		if b := s[i]; b == 0 || b == '\r' || b == '\n' || b >= 0x80 {
			return Literal(s)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

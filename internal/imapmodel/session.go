package imapmodel

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// patience bounds the wait for one response. It decides nothing but how long a hang takes to show.
const patience = 60 * time.Second

// Session is one client of an account: the same client after it had to log in again.
type Session struct {
	a     *Account
	load  *Load
	n     int // its number within the account
	steps uint64
	made  int // letters and folders, for their names
	rng   *rand.Rand
	out   *Outcome

	// What the client has done to flags, see known; and marks for deletion that were acknowledged.
	flags  map[*folder]map[uint32]flags
	marked map[*folder]map[uint32]bool
	busy   map[*message]int // commands in flight that may change a message's flags
	caches map[*folder]*cache

	// Of the connection.
	conn      net.Conn
	r         *responses
	w         *bufio.Writer
	trace     *trace
	tag       int
	caps      []string
	namespace string
	condstore bool // MODSEQ is told
	qresync   bool // VANISHED is told
	view      *view
	inFlight  []*command
	answers   int // tagged responses so far
	plus      int // continuation requests that are due
	bye       *response
	leaving   bool // LOGOUT was sent
}

// errEnded ends a connection that the server has ended with BYE.
var errEnded = errors.New("ended by the server")

// dial makes a connection that knows nothing yet.
func (s *Session) dial(ctx context.Context) error {
	conn, err := s.load.Dial(ctx)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	s.trace.add("-", "connected")
	s.conn, s.w = conn, bufio.NewWriterSize(conn, 16<<10)
	s.r = &responses{b: bufio.NewReaderSize(conn, 16<<10), trace: func(line string) { s.trace.add("S", line) }}
	s.view, s.inFlight, s.plus, s.bye, s.leaving = nil, nil, 0, nil, false
	s.condstore, s.qresync, s.caps, s.namespace = false, false, nil, ""
	return nil
}

func (s *Session) login() error {
	greeting, err := s.read()
	if err != nil {
		return err
	}
	if greeting.tag != "*" || greeting.name != "OK" {
		return fmt.Errorf("greeted with %s %s", greeting.name, greeting.text)
	}
	if err := s.do(plain("LOGIN", quote(s.a.user)+" "+quote(s.a.pass))); err != nil {
		return err
	}
	s.caps = nil // those before the login are others
	return s.do(s.capability())
}

func (s *Session) has(capability string) bool { return slices.Contains(s.caps, capability) }

// do sends commands in one go and reads until all of them are answered.
func (s *Session) do(batch ...*command) error {
	for _, c := range batch {
		if err := s.send(c); err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	for len(s.inFlight) > 0 {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) send(c *command) error {
	s.tag++
	c.tag = fmt.Sprintf("a%d", s.tag)
	s.a.mu.Lock()
	c.stamp = s.a.tick()
	if c.send != nil {
		c.send()
	}
	s.a.mu.Unlock()
	s.inFlight = append(s.inFlight, c)
	s.out.count(c.name)
	line := c.tag + " "
	for _, part := range c.parts {
		lit, ok := part.(literal)
		if !ok {
			line += part.(string)
			continue
		}
		mark := fmt.Sprintf("{%d+}\r\n", len(lit.text))
		if lit.sync {
			mark = fmt.Sprintf("{%d}\r\n", len(lit.text))
		}
		s.write(line + mark)
		line = ""
		if lit.sync {
			if err := s.consent(c); err != nil {
				return err
			}
		}
		s.writeLiteral(lit.text)
	}
	s.write(line + "\r\n")
	return nil
}

// consent waits for a continuation request. The literal of a command that is refused instead is a violation: nothing that
// is sent here gives a server a reason.
func (s *Session) consent(c *command) error {
	if err := s.flush(); err != nil {
		return err
	}
	for s.plus = 1; s.plus > 0; {
		if err := s.step(); err != nil {
			return err
		}
		if !slices.Contains(s.inFlight, c) {
			return fmt.Errorf("%s is answered before its literal is sent", c.name)
		}
	}
	return nil
}

func (s *Session) write(text string) {
	for line := range strings.SplitAfterSeq(text, "\r\n") {
		if line != "" {
			s.trace.add("C", strings.TrimSuffix(line, "\r\n"))
		}
	}
	_, _ = s.w.WriteString(text) // the error stays in the writer until flush
}

func (s *Session) writeLiteral(text string) {
	s.trace.add("C", shorten(text, 40))
	_, _ = s.w.WriteString(text)
}

// flush tolerates a connection that is closed: the BYE is still to be read.
func (s *Session) flush() error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(patience))
	if err := s.w.Flush(); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the server does not read: %w", err)
	}
	return nil
}

// read reads one response.
func (s *Session) read() (*response, error) {
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
	r, err := s.r.next()
	switch {
	case err == nil:
		return r, nil
	case s.bye != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errEnded // by EOF or by a reset, which overtakes nothing
	}
	return nil, fmt.Errorf("read: %w", err)
}

// step reads one response and checks it.
func (s *Session) step() error {
	r, err := s.read()
	if err != nil {
		return err
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	return s.check(r)
}

// pause listens for a while: what a server says unasked is checked at once. It ends early after most responses.
func (s *Session) pause(length time.Duration, most int) error {
	for until := time.Now().Add(length); most > 0; most-- {
		_ = s.conn.SetReadDeadline(until)
		_, err := s.r.b.Peek(1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

// close leaves the connection. What was in flight may have happened or not.
func (s *Session) close() {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	for _, c := range s.inFlight {
		if c.lost != nil {
			c.lost()
		}
	}
	s.inFlight = nil
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// TLS returns a Load.Dial for an address with implicit TLS.
func TLS(addr string, config *tls.Config) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		d := tls.Dialer{Config: config}
		return d.DialContext(ctx, "tcp", addr)
	}
}

// Clear returns a Load.Dial for an address without TLS.
func Clear(addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
}

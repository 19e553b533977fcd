package migrate

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// How long a worker waits for a server. Tests are less patient.
var (
	stallTimeout = 3 * time.Minute // no byte either way for so long: the server is gone
	openTimeout  = 2 * time.Minute // dial and login
)

// writeBuffer makes for few large writes: each is a TLS record or a system call.
const writeBuffer = 64 << 10

// limits of what is kept of one response; bodies are streamed and do not count.
var limits = wire.Limits{Line: 8 << 20, Literal: 1 << 20, Total: 16 << 20}

// client is one IMAP connection of a worker. It belongs to one goroutine. After an error that is not a
// *backend.Refused or errSyntax it is of no use any more.
type client struct {
	conn     *backend.Conn
	guard    *stallGuard
	caps     backend.Caps
	side     string // source or target, for errors
	view     *view  // nil: all folders, as the server names them
	d        *wire.Decoder
	w        *bufio.Writer
	tag      int
	sent     map[string]bool   // tags of commands without a completion so far
	done     map[string]result // completions read while waiting for another one
	selected string
	readOnly bool
	exists   uint32      // messages in the selected folder, as last told
	qresync  bool        // ENABLE QRESYNC has succeeded
	singly   bool        // the server sends bodies before it says of which messages they are
	stop     func() bool // ends the watch of the context
}

// result is the completion of a command.
type result struct {
	code, text string // of an OK
	err        error
}

// response is one untagged response; the decoder stands behind the words that were taken.
type response struct {
	num  uint32 // of "* 12 FETCH"
	word string // in upper case
	d    *wire.Decoder
}

// open connects to b and logs in as user, by the first of secrets that the server takes. The end of ctx closes the connection.
func open(ctx context.Context, b *backend.Backend, user string, secrets []backend.Secret) (*client, error) {
	if !b.NeedsSecret() {
		secrets = []backend.Secret{""}
	}
	err := error(errNoSecret)
	for _, secret := range secrets {
		var c *client
		if c, err = openWith(ctx, b, user, secret); err == nil {
			return c, nil
		}
		var refused *backend.Refused
		if !errors.As(err, &refused) || refused.Status != "NO" {
			break
		}
	}
	return nil, err
}

func openWith(ctx context.Context, b *backend.Backend, user string, secret backend.Secret) (*client, error) {
	dialCtx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := b.Dial(dialCtx, nil)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Login(dialCtx, user, secret); err != nil {
		conn.Close()
		return nil, err
	}
	s := &stallGuard{Conn: conn.Conn, tcp: rawTCP(conn.Conn)}
	conn.R.Source(s)
	c := &client{conn: conn, guard: s, caps: conn.Caps, side: b.Name(), w: bufio.NewWriterSize(s, writeBuffer), sent: map[string]bool{}, done: map[string]result{}}
	c.d = wire.NewDecoder(conn.R, limits)
	c.stop = context.AfterFunc(ctx, func() { reset(conn.Conn) })
	return c, nil
}

// close ends the connection without ceremony: a server discards an unfinished APPEND.
func (c *client) close() {
	c.stop()
	c.conn.Close()
}

// stallGuard gives each read and write its own deadline: a transfer may take long, silence may not.
type stallGuard struct {
	net.Conn
	tcp    syscall.RawConn // nil if there is none below
	leased func() error    // why nothing may be written any more; nil: nothing is ever in the way
}

// tcpBelow returns the TCP connection below conn, or nil.
func tcpBelow(conn net.Conn) *net.TCPConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}

// rawTCP returns what quickAck takes.
func rawTCP(conn net.Conn) syscall.RawConn {
	tcp := tcpBelow(conn)
	if tcp == nil {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

func (s *stallGuard) Read(p []byte) (int, error) {
	if s.tcp != nil {
		quickAck(s.tcp)
	}
	if err := s.SetReadDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	return s.Conn.Read(p)
}

func (s *stallGuard) Write(p []byte) (int, error) {
	if s.leased != nil {
		if err := s.leased(); err != nil {
			return 0, err
		}
	}
	if err := s.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// text is a string of any bytes but NUL among the parts of a command, and glued follows the part before it without a space.
type (
	text  string
	glued string
)

// name is a mailbox name of the engine's among the parts of a command.
type name string

// start writes a command, which is sent at the latest when its completion is awaited, and returns its tag. Parts are
// string, sent as they are, name, text or glued.
func (c *client) start(parts ...any) (tag string, err error) {
	tag = c.nextTag()
	c.w.WriteString(tag)
	for _, p := range parts {
		if _, ok := p.(glued); !ok {
			c.w.WriteByte(' ')
		}
		var err error
		switch p := p.(type) {
		case string:
			c.w.WriteString(p)
		case glued:
			c.w.WriteString(string(p))
		case name:
			err = c.writeName(string(p))
		case text:
			err = c.writeText(string(p))
		}
		if err != nil {
			return "", err
		}
	}
	c.w.WriteString("\r\n")
	return tag, nil
}

func (c *client) nextTag() string {
	c.tag++
	tag := "w" + strconv.Itoa(c.tag)
	c.sent[tag] = true
	return tag
}

// writeName writes the server's name for a folder.
func (c *client) writeName(folder string) error { return c.writeText(c.there(folder)) }

// writeText writes a string, as a literal where its bytes need one.
func (c *client) writeText(s string) error {
	if !wire.NeedsLiteral(s) {
		c.w.WriteString(wire.Quoted(s))
		return nil
	}
	if c.nonSync(int64(len(s))) {
		fmt.Fprintf(c.w, "{%d+}\r\n%s", len(s), s)
		return nil
	}
	fmt.Fprintf(c.w, "{%d}\r\n", len(s))
	if err := c.awaitContinue(); err != nil {
		return err
	}
	c.w.WriteString(s)
	return nil
}

// awaitContinue sends what is buffered and waits for the continuation request. Completions of other commands are
// kept. A refusal of the command itself is returned as *backend.Refused.
func (c *client) awaitContinue() error {
	if err := c.w.Flush(); err != nil {
		return c.errorf("send: %w", err)
	}
	for {
		if err := c.d.Next(); err != nil {
			return c.errorf("await continuation: %w", eof(err))
		}
		if c.d.Accept('+') {
			c.d.Rest()
			return c.lost(c.d.Drain())
		}
		tag, err := c.readOther(nil)
		if err != nil {
			return err
		}
		if tag != "" && tag == "w"+strconv.Itoa(c.tag) {
			res := c.done[tag]
			delete(c.done, tag)
			if res.err == nil {
				res.err = c.errorf("command completed before its literal")
			}
			return res.err
		}
	}
}

// do sends a command and reads up to its completion, giving each untagged response to on (nil drops them). It returns the
// response code and text of the OK.
func (c *client) do(on func(response) error, parts ...any) (result, error) {
	tag, err := c.start(parts...)
	if err != nil {
		return result{}, err
	}
	return c.finish(tag, on)
}

// finish waits for the completion of tag. A syntax error in one response is reported at the end, and the rest is read
// all the same.
func (c *client) finish(tag string, on func(response) error) (result, error) {
	if !c.answered(tag) {
		if err := c.w.Flush(); err != nil {
			return result{}, c.lastWords(tag, err)
		}
	}
	var bad error
	for {
		if res, ok := c.done[tag]; ok {
			delete(c.done, tag)
			return res, errors.Join(res.err, bad)
		}
		if err := c.d.Next(); err != nil {
			return result{}, c.errorf("await reply: %w", eof(err))
		}
		_, err := c.readOther(on)
		if errors.Is(err, wire.ErrSyntax) {
			bad = err
		} else if err != nil {
			return result{}, err
		}
	}
}

// answered reports whether the completion of tag was read while another one was awaited.
func (c *client) answered(tag string) bool {
	_, ok := c.done[tag]
	return ok
}

// maxLastWords bounds what is read of a server that stops listening: the answers to all that is under way, and some more.
const maxLastWords = 1000

// lastWords returns what the server said about the command tag or the connection before it stopped listening, or
// cause if it said nothing.
func (c *client) lastWords(tag string, cause error) error {
	for range maxLastWords {
		if c.d.Next() != nil {
			break
		}
		var refused *backend.Refused
		if _, err := c.readOther(nil); errors.As(err, &refused) {
			return err
		}
		if res := c.done[tag]; res.err != nil {
			return res.err
		}
	}
	return c.errorf("send: %w", cause)
}

// readOther takes the response that the decoder has begun. It returns the tag of a completion, whose result it keeps in done.
func (c *client) readOther(on func(response) error) (tag string, err error) {
	switch tag = c.d.Atom(); {
	case tag == "+": // that nobody waits for
		return "", c.lost(c.d.Drain())
	case tag != "*" && !c.sent[tag]:
		return "", c.errorf("answers a command that was not sent: tag %s", wire.Quoted(tag))
	case tag != "*":
		c.complete(tag)
		return tag, c.lost(c.d.Drain())
	}
	c.d.SP()
	r := response{word: strings.ToUpper(c.d.Atom()), d: c.d}
	if n, err := strconv.ParseUint(r.word, 10, 32); err == nil {
		c.d.SP()
		r.num, r.word = uint32(n), strings.ToUpper(c.d.Atom())
	}
	c.d.Accept(' ')
	if r.word == "BYE" {
		code, text := wire.SplitCode(string(c.d.Rest()))
		return "", &backend.Refused{Backend: c.side, Command: "connection", Status: "BYE", Code: code, Text: text}
	}
	switch r.word {
	case "EXISTS":
		c.exists = r.num
	case "EXPUNGE":
		c.exists--
	}
	if on != nil {
		err = on(r)
	}
	if err == nil {
		err = c.lost(c.d.Err())
	}
	if err != nil && !errors.Is(err, wire.ErrSyntax) {
		return "", err
	}
	if err != nil {
		err = fmt.Errorf("read %s of %s: %w", r.word, c.side, err)
	}
	if lost := c.lost(c.d.Drain()); lost != nil {
		return "", lost
	}
	return "", err
}

func (c *client) complete(tag string) {
	c.d.Accept(' ')
	status := strings.ToUpper(c.d.Atom())
	c.d.Accept(' ')
	code, text := wire.SplitCode(string(c.d.Rest()))
	res := result{code: code, text: text}
	if status != "OK" {
		res.err = &backend.Refused{Backend: c.side, Command: "command", Status: status, Code: code, Text: text}
	}
	delete(c.sent, tag)
	c.done[tag] = res
}

func (c *client) lost(err error) error {
	if err == nil {
		return nil
	}
	return c.errorf("connection: %w", eof(err))
}

func (c *client) errorf(format string, args ...any) error {
	return fmt.Errorf(c.side+": "+format, args...)
}

func eof(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// argument returns the word behind key in a response code: argument("UIDNEXT 7", "UIDNEXT") is "7".
func argument(code, key string) (string, bool) {
	word, rest, _ := strings.Cut(code, " ")
	return rest, wire.EqualFold(word, key)
}

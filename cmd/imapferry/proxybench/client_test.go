package proxybench

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// patience bounds a session's every step; it decides nothing but how long a broken run takes.
const patience = time.Minute

// dialed counts connections, to spread them over the addresses of loopback: imapferry bounds the sessions from one
// address, and each has only so many ports.
var dialed atomic.Uint32

// client is one IMAP session through a proxy.
type client struct {
	conn *tls.Conn
	r    *bufio.Reader
}

// connect makes a full handshake, since there is no cache of sessions, and reads the greeting.
func connect(addr string, buffer int) (*client, error) {
	from := dialed.Add(1)
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+from/64%8), byte(1+from%64))}}
	raw, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
		DynamicRecordSizingDisabled: true, // uploads come in full records, as they do from most clients
	})
	c := &client{conn, bufio.NewReaderSize(conn, buffer)}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.r.ReadSlice('\n'); err != nil {
		c.close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	return c, nil
}

// login connects and logs in with a name of its own, if n differs.
func login(addr string, n, buffer int) (*client, error) {
	c, err := connect(addr, buffer)
	if err != nil {
		return nil, err
	}
	if err := c.do(fmt.Sprintf("LOGIN user%d pass", n)); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) close() { c.conn.Close() }

func (c *client) do(command string) error {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write([]byte("a " + command + "\r\n")); err != nil {
		return fmt.Errorf("%.6s: %w", command, err)
	}
	if err := c.await("a OK"); err != nil {
		return fmt.Errorf("%.6s: %w", command, err)
	}
	return nil
}

// await reads up to the line that begins with word, and drops literals.
func (c *client) await(word string) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(line, []byte(word)):
			return nil
		case !bytes.HasPrefix(line, []byte("* ")) && !bytes.HasPrefix(line, []byte(")")):
			return fmt.Errorf("unexpected answer %q", line)
		case bytes.HasSuffix(line, []byte("}\r\n")):
			n, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, '{')+1 : len(line)-3]))
			if err != nil {
				return err
			}
			if _, err := c.r.Discard(n); err != nil {
				return err
			}
		}
	}
}

// fetch reads a message of kib KiB.
func (c *client) fetch(kib int) error { return c.do(fmt.Sprintf("FETCH %d BODY.PEEK[]", kib)) }

var upload = strings.Repeat("0123456789abcdef", 200<<6) // 200 KiB

func (c *client) append() error {
	return c.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(upload), upload))
}

// idle enters IDLE.
func (c *client) idle() error {
	_ = c.conn.SetDeadline(time.Time{})
	if _, err := c.conn.Write([]byte("i IDLE\r\n")); err != nil {
		return err
	}
	return c.await("+")
}

func (c *client) done() error {
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write([]byte("DONE\r\n")); err != nil {
		return err
	}
	return c.await("i OK")
}

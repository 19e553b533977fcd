package acmetest

import (
	"bufio"
	"bytes"
	cryptotls "crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"imapferry/tls"
)

// patience bounds every wait; no test depends on how much of it is used.
const patience = 30 * time.Second

// logBuffer takes a log that goroutines write and the test reads.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start returns certificates that are closed with the test, and their whole log.
func start(t *testing.T, cfg tls.Config) (*tls.Certificates, *logBuffer) {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	c, err := tls.New(t.Context(), cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 4})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, log
}

// startReady is start once there is a certificate.
func startReady(t *testing.T, cfg tls.Config) (*tls.Certificates, *logBuffer) {
	t.Helper()
	c, log := start(t, cfg)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatalf("Ready() = %v\n%s", err, log)
	}
	return c, log
}

// echoServer greets and then sends every line back. It ends with the test.
func echoServer(t *testing.T, c *tls.Certificates) string {
	t.Helper()
	ln, err := cryptotls.Listen("tcp", "127.0.0.1:0", c.ServerConfig())
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() { acceptEchoes(ln, &conns) })
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	return ln.Addr().String()
}

func acceptEchoes(ln net.Listener, conns *sync.WaitGroup) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		conns.Go(func() { echo(conn) })
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * patience))
	if _, err := io.WriteString(conn, "* OK IMAP4rev1 ready\r\n"); err != nil {
		return
	}
	io.Copy(conn, conn)
}

// client is one session that has been greeted.
type client struct {
	*cryptotls.Conn
	lines *bufio.Reader
}

// dial verifies the server's chain for name against the issuing root, offers
// the protocols, and reads the greeting.
func dial(addr, name string, roots *x509.CertPool, protocols ...string) (*client, error) {
	config := &cryptotls.Config{ServerName: name, RootCAs: roots, NextProtos: protocols}
	conn, err := cryptotls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, config)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(2 * patience))
	c := &client{conn, bufio.NewReader(conn)}
	if _, err := c.lines.ReadString('\n'); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func mustDial(t *testing.T, addr, name string, roots *x509.CertPool, protocols ...string) *client {
	t.Helper()
	c, err := dial(addr, name, roots, protocols...)
	if err != nil {
		t.Fatalf("dial %s offering %q: %v", name, protocols, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// exchange sends one line and wants it back.
func (c *client) exchange(n int) error {
	line := fmt.Sprintf("a%d NOOP\r\n", n)
	if _, err := io.WriteString(c, line); err != nil {
		return err
	}
	got, err := c.lines.ReadString('\n')
	if err == nil && got != line {
		err = fmt.Errorf("got %q; want %q", got, line)
	}
	return err
}

// leaf is the certificate that the server showed.
func (c *client) leaf() *x509.Certificate { return c.ConnectionState().PeerCertificates[0] }

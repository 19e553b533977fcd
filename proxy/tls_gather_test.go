package proxy

import (
	"bytes"
	cryptotls "crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

// counted counts the writes of a connection, and fails them if it is to.
type counted struct {
	net.Conn
	writes int
	fails  error
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes++
	if c.fails != nil {
		return 0, c.fails
	}
	return c.Conn.Write(p)
}

// gatheredPair returns a server's connection with a gatherer in it, and the client's, after the handshake.
func gatheredPair(t *testing.T, version uint16) (server *cryptotls.Conn, below *counted, client *cryptotls.Conn) {
	t.Helper()
	a, b := tcpPair(t)
	serverConfig, clientConfig := testTLS(t)
	clientConfig.MaxVersion = version
	below = &counted{Conn: a}
	server, client = cryptotls.Server(&gatherer{Conn: below}, serverConfig), cryptotls.Client(b, clientConfig)
	t.Cleanup(func() { client.Close(); server.Close() })
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	below.writes = 0
	return server, below, client
}

// All records of one write leave in one call, whatever their size, and arrive as they were.
func TestGather(t *testing.T) {
	server, below, client := gatheredPair(t, cryptotls.VersionTLS13)
	g := gathererBelow(server)
	if g == nil {
		t.Fatal("no gatherer found")
	}
	for _, size := range []int{1, 100, 2000, outboxSize, 16 << 10, outboxSize, outboxSize - 1, 3, outboxSize} {
		said, heard := bytes.Repeat([]byte{byte(size)}, size), make([]byte, size)
		got := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(client, heard)
			got <- err
		}()
		below.writes = 0
		g.expect(size)
		if n, err := server.Write(said); n != size || err != nil {
			t.Fatalf("write of %d: %d, %v", size, n, err)
		}
		if err := <-got; err != nil || !bytes.Equal(said, heard) {
			t.Fatalf("read of %d: %v, or other bytes than were written", size, err)
		}
		if below.writes != 1 || g.buf != nil {
			t.Errorf("%d bytes took %d writes; buffer left: %v", size, below.writes, g.buf != nil)
		}
	}
}

// A write that nobody has announced, or that is longer than announced, as with an alert in between, keeps nothing back.
func TestGatherMiscounted(t *testing.T) {
	server, _, client := gatheredPair(t, cryptotls.VersionTLS13)
	for _, expected := range []int{0, 1, 30000} {
		gathererBelow(server).expect(expected)
		const size = 40000
		got := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(client, make([]byte, size))
			got <- err
		}()
		if _, err := server.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	}
}

// The writer hears that the connection is broken.
func TestGatherFails(t *testing.T) {
	server, below, _ := gatheredPair(t, cryptotls.VersionTLS13)
	below.fails = errors.New("broken")
	gathererBelow(server).expect(outboxSize)
	if _, err := server.Write(make([]byte, outboxSize)); !errors.Is(err, below.fails) {
		t.Errorf("write to a broken connection: %v", err)
	}
}

// Older versions have records of other lengths, and are left alone.
func TestGatherOldTLS(t *testing.T) {
	server, _, _ := gatheredPair(t, cryptotls.VersionTLS12)
	if gathererBelow(server) != nil {
		t.Error("records of TLS 1.2 would be gathered")
	}
	var none *gatherer
	none.expect(1)
}

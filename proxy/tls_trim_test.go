package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// TestTrimmable fails when crypto/tls changes the fields that trim knows: sessions then keep up to 33 KB each after
// large records, and what it reaches into must be looked at again.
func TestTrimmable(t *testing.T) {
	if !trimmable {
		t.Errorf("the fields of crypto/tls.Conn have changed: rawInput %v, input %v", rawInput.Type, input.Type)
	}
	trim(nil) // what is no such connection is left alone
	a, _ := tcpPair(t)
	trim(a)
}

// tlsPair returns both ends of a TLS connection over TCP.
func tlsPair(t *testing.T) (client, server *tls.Conn) {
	t.Helper()
	serverTLS, clientTLS := testTLS(t)
	a, b := tcpPair(t)
	client, server = tls.Client(a, clientTLS), tls.Server(b, serverTLS)
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return client, server
}

// says writes text and reads it at the other end.
func says(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(from, text)
		wrote <- err
	}()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("read %.40q, %v", got, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// TestTrimReads trims between records of all sizes, in both directions: every byte is read as it was written.
func TestTrimReads(t *testing.T) {
	client, server := tlsPair(t)
	text := string(bytesOf(70000))
	for _, size := range []int{1, 70000, 16384, 5, 16383, 40000, 2, 0, 1} {
		says(t, client, server, text[:size])
		trim(server)
		says(t, server, client, text[size:])
		trim(client)
		trim(client)
	}
}

func bytesOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

// TestTrimPartial trims where a record was read in part: nothing is dropped.
func TestTrimPartial(t *testing.T) {
	client, server := tlsPair(t)
	text := string(bytesOf(1000))
	if _, err := io.WriteString(client, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	for i := range got {
		if _, err := io.ReadFull(server, got[i:i+1]); err != nil {
			t.Fatal(err)
		}
		trim(server)
	}
	if string(got) != text {
		t.Errorf("read %.40q", got)
	}
}

// TestTrimHalfRecord stops records on their way, in their header and in their body: a read that times out leaves one
// half in crypto/tls, as a session may that dozes off.
func TestTrimHalfRecord(t *testing.T) {
	serverTLS, clientTLS := testTLS(t)
	far, a := tcpPair(t)
	b, near := tcpPair(t)
	out := &cutConn{Conn: far}
	client, server := tls.Client(out, clientTLS), tls.Server(near, serverTLS)
	go func() { _, _ = io.Copy(a, b); a.Close() }()
	go func() { _, _ = io.Copy(b, a); b.Close() }()
	shaken := make(chan error, 1)
	go func() { shaken <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < 28; cut += 4 { // of a record of 28
		out.keep = cut
		if _, err := io.WriteString(client, "a line"); err != nil {
			t.Fatal(err)
		}
		_ = server.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := server.Read(make([]byte, 10)); !isTimeout(err) {
			t.Fatalf("cut after %d bytes: read %d bytes, %v", cut, n, err)
		}
		trim(server)
		_ = server.SetReadDeadline(time.Time{})
		if _, err := far.Write(out.kept); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("a line"))
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "a line" {
			t.Fatalf("cut after %d bytes: read %q, %v", cut, got, err)
		}
		trim(server)
	}
	out.keep = 0
	client.Close()
	server.Close()
}

// cutConn keeps back what goes beyond the first keep bytes of a write, if keep is set.
type cutConn struct {
	net.Conn
	keep int
	kept []byte
}

// Write implements net.Conn.
func (c *cutConn) Write(p []byte) (int, error) {
	n := len(p)
	if c.keep > 0 {
		c.kept = append([]byte(nil), p[c.keep:]...)
		p = p[:c.keep]
	}
	_, err := c.Conn.Write(p)
	return n, err
}

// TestTrimFrees measures what idle connections hold after large records, with and without trim.
func TestTrimFrees(t *testing.T) {
	const conns = 50
	text := string(bytesOf(200 << 10))
	held := func(trimmed bool) int64 {
		var keep []*tls.Conn
		before := heap()
		for range conns {
			client, server := tlsPair(t)
			says(t, client, server, text)
			says(t, server, client, "x")
			if trimmed {
				trim(server)
			}
			keep = append(keep, server, client)
		}
		after := heap()
		runtime.KeepAlive(keep)
		return (after - before) / conns
	}
	with, without := held(true), held(false)
	t.Logf("%d bytes per connection with trim, %d without", with, without)
	if without-with < 8<<10 {
		t.Errorf("trim frees %d bytes of a connection; want at least 8 KB", without-with)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"imapferry/internal/wire"
)

// BenchmarkRelay fetches a message of size bytes over loopback TCP, over a plain copy loop and over the relay. The
// copy loop goes through user space, as it must behind TLS: io.Copy between two TCP connections would splice.
func BenchmarkRelay(b *testing.B) {
	paths := []struct {
		name  string
		start func(b *testing.B) (client, back net.Conn)
	}{
		{"direct", func(b *testing.B) (net.Conn, net.Conn) { client, back := tcpPair(b); return client, back }},
		{"iocopy", startCopy},
		{"relay", func(b *testing.B) (net.Conn, net.Conn) {
			bed := newRelayBed(b, relayConfig{LiteralPlus: true}, nil)
			return bed.client, bed.backend
		}},
	}
	for _, p := range paths {
		for _, size := range []int{0, 4 << 10, 64 << 10, 4 << 20} {
			b.Run(fmt.Sprintf("path=%s/size=%d", p.name, size), func(b *testing.B) {
				client, back := p.start(b)
				defer client.Close()
				go serveFetch(back, size)
				fetch(b, client, size)
			})
		}
	}
}

func serveFetch(conn net.Conn, size int) {
	defer conn.Close()
	answer := []byte("a OK done\r\n")
	if size > 0 {
		answer = fmt.Appendf(nil, "* 1 FETCH (BODY[] {%d}\r\n%s)\r\na OK done\r\n", size, strings.Repeat("x", size))
	}
	r := wire.NewReader(conn, 0)
	for {
		if _, err := r.Line(100); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func fetch(b *testing.B, conn net.Conn, size int) {
	n := len("a OK done\r\n")
	if size > 0 {
		n += len(fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n)\r\n", size)) + size
	}
	buf := make([]byte, n)
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(conn, "a FETCH 1 BODY[]\r\n"); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func startCopy(b *testing.B) (client, back net.Conn) {
	client, nearClient := tcpPair(b)
	back, nearBack := tcpPair(b)
	go copyLoop(nearClient, nearBack)
	go copyLoop(nearBack, nearClient)
	return client, back
}

func copyLoop(dst, src net.Conn) {
	io.Copy(struct{ io.Writer }{dst}, struct{ io.Reader }{src})
	dst.Close()
}

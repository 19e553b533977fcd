package migrate

import (
	"net"
	"testing"
	"time"
)

// TestQuickAck: a server that writes its answers in pieces, with Nagle's algorithm on, is not kept waiting for acknowledgements.
func TestQuickAck(t *testing.T) {
	const rounds = 50 // the kernel is quick in the first ones by itself
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetNoDelay(false)
		for b := make([]byte, 1); ; {
			if _, err := conn.Read(b); err != nil {
				return
			}
			for range 3 {
				_, _ = conn.Write(b)
			}
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &stallGuard{Conn: conn, tcp: rawTCP(conn)}
	var spent time.Duration
	for range 3 { // a busy machine may be late, too
		began := time.Now()
		for range rounds {
			if _, err := s.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			for got, b := 0, make([]byte, 3); got < 3; {
				n, err := s.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				got += n
			}
		}
		if spent = time.Since(began); spent <= rounds*20*time.Millisecond {
			return
		}
	}
	t.Errorf("%d answers took %s", rounds, spent)
}

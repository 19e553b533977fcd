package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// fakeConn reads nothing and swallows what is written.
type fakeConn struct{ net.Conn }

func (*fakeConn) Read([]byte) (int, error)         { return 0, io.EOF }
func (*fakeConn) Write(p []byte) (int, error)      { return len(p), nil }
func (*fakeConn) Close() error                     { return nil }
func (*fakeConn) SetReadDeadline(time.Time) error  { return nil }
func (*fakeConn) SetWriteDeadline(time.Time) error { return nil }

func TestConfigIsCheckedWhole(t *testing.T) {
	_, err := New(Config{Prove: "maybe"})
	for _, want := range []string{"listen:", "tls:", "source and target:", "users and state:", "auth.prove:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v; want also %s", err, want)
		}
	}
}

// I9: memory stays bounded however much a client sends without a line end.
func TestEndlessLine(t *testing.T) {
	b := newBed(t)
	steps(t, b, "S~ \\* OK .*")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 100 {
		if _, err := b.client.conn.Write(chunk); err != nil {
			break // the server has closed, as it should
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
	_ = b.client.conn.SetReadDeadline(time.Now().Add(stepTimeout))
	for {
		if _, err := b.client.r.Line(1 << 10); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the session lives on")
			}
			return
		}
	}
}

// RFC 9051, 5.4: who does not log in is logged out.
func TestLoginDeadline(t *testing.T) {
	b := newBed(t)
	b.loginTime = 100 * time.Millisecond
	steps(t, b, "S~ \\* OK .*\nS: * BYE autologout: no login in time\nS!")
}

func TestClearTextOnTLSPort(t *testing.T) {
	b := newBed(t)
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	imaps, _ := b.srv.Addrs()
	conn, err := net.Dial("tcp", imaps[0].String())
	if err != nil {
		t.Fatal(err)
	}
	b.client = &peer{}
	b.client.use(conn)
	steps(t, b, "C: a LOGIN alice secret\nS: * BYE a TLS handshake was expected here\nS!")
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct{ total, perAddr int }{{1, 9}, {9, 1}} {
		t.Run(fmt.Sprintf("total=%d,address=%d", tt.total, tt.perAddr), func(t *testing.T) {
			b := newBed(t)
			b.clear = true
			b.cfg.MaxSessions, b.cfg.MaxPerAddress = tt.total, tt.perAddr
			steps(t, b, "S~ \\* OK .*")
			first := b.client
			b.client = nil
			steps(t, b, "S: * BYE [LIMIT] too many connections\nS!")
			b.client = first
			steps(t, b, "C: a LOGOUT\nS~ \\* BYE .*\nS~ a OK .*\nS!")
			must(t, "room again", func() bool {
				b.client = nil
				p, err := b.peer('S')
				return err == nil && p.hear('~', `\* OK .*`) == nil
			})
		})
	}
}

func TestLimitsByNetwork(t *testing.T) {
	l := newLimits(10, 1)
	if !l.enter(netip.MustParseAddr("2001:db8::1")) || l.enter(netip.MustParseAddr("2001:db8::2")) {
		t.Error("one /64 is not one client")
	}
	if !l.enter(netip.MustParseAddr("192.0.2.1")) || !l.enter(netip.MustParseAddr("192.0.2.2")) {
		t.Error("two IPv4 addresses are not two clients")
	}
	l.leave(netip.MustParseAddr("2001:db8::1"))
	l.leave(netip.MustParseAddr("192.0.2.1"))
	l.leave(netip.MustParseAddr("192.0.2.2"))
	if len(l.byAddr) != 0 {
		t.Errorf("%d addresses are remembered without sessions", len(l.byAddr))
	}
}

// The PROXY header of a trusted network names the client; it comes before TLS.
func TestProxyProtocol(t *testing.T) {
	b := newBed(t)
	b.cfg.ProxyFrom = loopback()
	b.source.ForwardClient = "id"
	b.before = func(c net.Conn) { _, _ = io.WriteString(c, "PROXY TCP4 203.0.113.7 198.51.100.9 4711 993\r\n") }
	steps(t, b, `S~ \* OK .*
C: a LOGIN alice secret
B: * OK [CAPABILITY IMAP4rev1 ID] source ready
P~ f1 ID \("x-originating-ip" "203\.0\.113\.7" "x-originating-port" "4711" "x-connected-ip" "198\.51\.100\.9" .*`)
}

// Without a header from a trusted network the client is who it is: health checks send none.
func TestProxyProtocolWithoutHeader(t *testing.T) {
	b := newBed(t)
	b.cfg.ProxyFrom = loopback()
	steps(t, b, "S~ \\* OK .*\nC: a NOOP\nS: a OK NOOP completed")
}

// From any other network a header is no more than a wrong command.
func TestProxyProtocolNotTrusted(t *testing.T) {
	b := newBed(t)
	b.clear = true
	b.cfg.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	b.before = func(c net.Conn) { _, _ = io.WriteString(c, "PROXY TCP4 203.0.113.7 198.51.100.9 4711 993\r\n") }
	steps(t, b, "S~ \\* OK .*\nS~ PROXY BAD .*")
}

// I8: no password and no SASL response is in the log, whatever becomes of the login.
func TestSecretsAreNotLogged(t *testing.T) {
	var out syncBuffer
	b := newBed(t)
	b.cfg.Log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.Level(-8)}))
	b.down["source"] = true
	steps(t, b, `S~ \* OK .*
C: a LOGIN alice hunter2
S~ a NO .*
C: b AUTHENTICATE PLAIN AGFsaWNlAGh1bnRlcjI=
S~ b NO .*
C: c LOGIN alice "hunter2
S~ c BAD .*
C: d LOGOUT
S~ \* BYE .*
S~ d OK .*
S!`)
	must(t, "the end is logged", func() bool { return strings.Contains(out.String(), "session ended") })
	for _, secret := range []string{"hunter2", "AGFsaWNl"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, out.String())
		}
	}
}

// A client that is gone before it hears of its login leaves neither a connection to the source nor a seat behind.
func TestClientGoneDuringLogin(t *testing.T) {
	b := newBed(t)
	steps(t, b, `S~ \* OK .*
C: a LOGIN alice secret
B: * OK [CAPABILITY IMAP4rev1] source ready
P: f1 LOGIN "alice" "secret"`)
	tcp := b.client.conn.(*tls.Conn).NetConn().(*net.TCPConn)
	if err := tcp.SetLinger(0); err != nil { // a reset: the next write to it fails
		t.Fatal(err)
	}
	tcp.Close()
	steps(t, b, "B: f1 OK [CAPABILITY IMAP4rev1] welcome\nP!")
	must(t, "no seat is left", func() bool { return b.srv.Sessions("alice") == 0 })
}

func TestRecordHeaderErrorHasConn(t *testing.T) {
	// handshake relies on it to tell who spoke clear text to the TLS port.
	client, server := net.Pipe()
	defer client.Close()
	go client.Write([]byte("a LOGIN x y\r\n"))
	err := tls.Server(server, &tls.Config{}).HandshakeContext(t.Context())
	var notTLS tls.RecordHeaderError
	if !errors.As(err, &notTLS) || notTLS.Conn == nil {
		t.Errorf("err = %v", err)
	}
}

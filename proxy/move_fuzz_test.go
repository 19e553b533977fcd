package proxy

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// sockets are the connections of a session in a fuzz test.
func sockets(t testing.TB) func(byte) (far, near net.Conn) {
	return func(byte) (net.Conn, net.Conn) { return tcpPair(t) }
}

// mustEnd waits for the session's end, which the test has brought about.
func (b *moveBed) mustEnd(t *testing.T) {
	t.Helper()
	select {
	case <-b.ended:
	case <-time.After(2 * time.Minute):
		t.Fatalf("the session does not end: %+v", b.r.halting)
	}
}

// FuzzMoveClient lets a client say anything before, during and behind a move: it ends, what the source gets behind the
// acknowledgement is ours, and no command that must not gets through.
func FuzzMoveClient(f *testing.F) {
	for at := 0; at < len(movedScript); at += 37 {
		f.Add([]byte(movedScript), uint16(at))
	}
	f.Add([]byte("a SELECT Work\r\nb IDLE\r\nDONE\r\nc UID SEARCH RETURN (SAVE) $\r\n* x\r\nd FETCH {3}\r\n1:* FLAGS\r\ne STORE {2+}\r\n1 FLAGS"), uint16(23))
	f.Fuzz(func(t *testing.T, said []byte, at uint16) {
		b := newMoveBed(false, relayConfig{}, sockets(t))
		heard := make(chan string, 1)
		go func() { heard <- script{}.play(t, b.client, nil) }()
		cut := min(int(at), len(said))
		cutWrite(b.client, said[:cut], nil)
		quiet := b.r.hold()
		go func() {
			cutWrite(b.client, said[cut:], nil)
			_ = b.client.(*net.TCPConn).CloseWrite()
		}()
		select {
		case <-quiet:
			b.goOver()
		case <-time.After(20 * time.Millisecond): // in the middle of a command, of which no more comes
			b.r.resume()
		}
		<-heard
		b.client.Close()
		b.mustEnd(t)
		b.source.conn.Close()
		b.target.conn.Close()
		if what := b.broken.Load(); what != nil {
			t.Errorf("the source got %q after the acknowledgement", *what)
		}
		for name := range refused {
			if b.source.obeyed(name) || b.target.obeyed(name) {
				t.Errorf("%s reached a server", name)
			}
		}
	})
}

// FuzzMoveServers lets both servers say anything from some byte on, around a move: the session ends, and the client
// hears whole responses only.
func FuzzMoveServers(f *testing.F) {
	const view = "imapferry1 OK x\r\n* 1 FETCH (UID 4 FLAGS ())\r\nimapferry2 OK x\r\n"
	f.Add([]byte("* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\na OK x\r\n"), []byte(view), []byte("* OK [UIDVALIDITY 7] x\r\n* 1 EXISTS\r\n"+view+"b OK x\r\n"), false)
	f.Add([]byte("* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\na OK x\r\n+ x\r\n"), []byte("* 1 EXPUNGE\r\nb OK x\r\n"+view), []byte("* OK [UIDVALIDITY 7] x\r\n* 0 EXISTS\r\nimapferry1 OK x\r\n+ x\r\n* 1 EXISTS\r\n* 1 EXPUNGE\r\n"), true)
	f.Add([]byte("* 4294967295 EXISTS\r\na OK x\r\n* VANISHED 1:4294967294\r\nb OK x\r\n* BYE x\r\n"), []byte("* BYE x\r\n"), []byte("* VANISHED 1:*\r\n"), false)
	f.Fuzz(func(t *testing.T, before, source, target []byte, idles bool) {
		client, nearClient := tcpPair(t)
		back, nearBack := tcpPair(t)
		far, nearTarget := tcpPair(t)
		cfg := relayConfig{LiteralPlus: true, Touched: newTouches().by("alice"), Log: slog.New(slog.DiscardHandler)}
		there := cfg
		there.Touched = nil
		cfg.Target = func(context.Context, switchInfo) (*backend.Conn, relayConfig, error) {
			go lastWords(far, target)
			return &backend.Conn{Conn: nearTarget, R: wire.NewReader(nearTarget, 0)}, there, nil
		}
		b := &moveBed{relayBed: relayBed{client: client, backend: back, ended: make(chan relayStats, 1)}, told: make(chan string, 1)}
		b.r = newRelay(end{nearClient, wire.NewReader(nearClient, 0)}, end{nearBack, wire.NewReader(nearBack, 0)}, cfg)
		go b.run()
		heard := make(chan string, 1)
		go func() { heard <- script{}.play(t, client, nil) }()
		second := "b NOOP\r\n"
		if idles {
			second = "b IDLE\r\n"
		}
		cutWrite(client, []byte("a SELECT Work\r\n"+second), nil)
		cutWrite(back, before, nil)
		quiet := b.r.hold()
		select {
		case <-quiet:
			b.r.move(switchInfo{}, func(reason string) { b.told <- reason })
		case <-time.After(20 * time.Millisecond): // something is in flight
			b.r.resume()
		}
		lastWords(back, source)
		cutWrite(client, []byte("c UID FETCH 1:* FLAGS\r\nd FETCH 1 FLAGS\r\ne NOOP\r\n"), nil)
		got := <-heard
		client.Close()
		b.mustEnd(t)
		back.Close()
		far.Close()
		if got != "" && !strings.HasSuffix(got, "\n") && !slices.Contains(before, '{') && !slices.Contains(source, '{') && !slices.Contains(target, '{') {
			t.Errorf("client heard %q", got)
		}
	})
}

// lastWords says text and nothing more.
func lastWords(conn *net.TCPConn, text []byte) {
	cutWrite(conn, text, nil)
	_ = conn.CloseWrite()
}

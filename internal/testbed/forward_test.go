package testbed

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// echo answers each connection with what it says, and half-closes after it.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String()
}

func forward(t *testing.T, target string, opt ForwardOptions) *Forwarder {
	t.Helper()
	f, err := Forward(target, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func connect(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(commandWithin))
	return conn.(*net.TCPConn)
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; want %q", got[:n], err, want)
	}
}

// Large and small writes pass whole, both ways at once, with an end of either.
func TestForward(t *testing.T) {
	f := forward(t, echo(t), ForwardOptions{})
	conn := connect(t, f.Addr())
	sent := bytes.Repeat([]byte("0123456789abcdef"), 2<<16) // 2 MB
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back, %v; want %d", len(got), err, len(sent))
	}
	n := int64(len(sent))
	if s := f.Stats(); s.Conns != 1 || s.Up != n || s.Down != n {
		t.Errorf("%+v; want %d bytes each way on 1 connection", s, n)
	}
}

// A delay adds up per round trip, and does not limit what is under way. Only the
// lower bound can be wanted of a machine that has other things to do.
func TestForwardDelay(t *testing.T) {
	const up, down = 20 * time.Millisecond, 10 * time.Millisecond
	f := forward(t, echo(t), ForwardOptions{Up: Way{Delay: up}, Down: Way{Delay: down}})
	began := time.Now()
	conn := connect(t, f.Addr())
	say(t, conn, "a")
	hear(t, conn, "a")
	if took := time.Since(began); took < 2*(up+down) {
		t.Errorf("connection and first answer after %s; want two round trips of %s", took, up+down)
	}
	for range 5 {
		began := time.Now()
		say(t, conn, "b")
		hear(t, conn, "b")
		if took := time.Since(began); took < up+down {
			t.Errorf("answer after %s; want %s", took, up+down)
		}
	}
	began = time.Now()
	sent := bytes.Repeat([]byte("x"), 4<<20)
	go func() { _, _ = conn.Write(sent) }()
	hear(t, conn, string(sent))
	t.Logf("4 MB in %s", time.Since(began))
	f.Set(ForwardOptions{})
	say(t, conn, "c")
	hear(t, conn, "c")
}

func TestForwardCutAfter(t *testing.T) {
	for _, resetting := range []bool{false, true} {
		f := forward(t, echo(t), ForwardOptions{Down: Way{CutAfter: 5}, Reset: resetting})
		conn := connect(t, f.Addr())
		say(t, conn, "0123456789")
		got, err := io.ReadAll(conn)
		if s := f.Stats(); s.Down != 5 {
			t.Errorf("reset %t: %d bytes passed; want 5", resetting, s.Down)
		}
		if !resetting && (err != nil || string(got) != "01234") {
			t.Errorf("%q, %v; want the first 5 bytes and an end", got, err)
		}
		if resetting && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q, %v; want a reset", got, err)
		}
	}
}

// A limit that is set on an open connection counts from then on.
func TestForwardCutAfterSet(t *testing.T) {
	f := forward(t, echo(t), ForwardOptions{})
	conn := connect(t, f.Addr())
	say(t, conn, "before")
	hear(t, conn, "before")
	f.Set(ForwardOptions{Up: Way{CutAfter: 3}})
	say(t, conn, "after")
	_, _ = io.ReadAll(conn) // the echo of the last bytes may be lost
	if s := f.Stats(); s.Up != 9 {
		t.Errorf("%d bytes passed; want 9", s.Up)
	}
	again := connect(t, f.Addr())
	f.Set(ForwardOptions{Reset: true})
	say(t, again, "x")
	hear(t, again, "x")
	f.Cut()
	if _, err := again.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Cut: %v; want a reset", err)
	}
}

// What a black hole has held arrives when it is lifted; a connection that is
// made meanwhile is made then.
func TestForwardBlackHole(t *testing.T) {
	f := forward(t, echo(t), ForwardOptions{})
	conn := connect(t, f.Addr())
	say(t, conn, "a")
	hear(t, conn, "a")
	f.Set(ForwardOptions{Up: Way{BlackHole: true}})
	say(t, conn, "held")
	other := connect(t, f.Addr())
	say(t, other, "new")
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("something came out of the black hole: %v", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(commandWithin))
	f.Set(ForwardOptions{})
	hear(t, conn, "held")
	hear(t, other, "new")
}

// Close ends connections in every state; goleak looks for what is left.
func TestForwardClose(t *testing.T) {
	f := forward(t, echo(t), ForwardOptions{})
	for range 3 {
		conn := connect(t, f.Addr())
		say(t, conn, "a")
		hear(t, conn, "a")
	}
	f.Set(ForwardOptions{Down: Way{Delay: time.Hour}})
	late := connect(t, f.Addr()) // still waits for its handshake
	f.Close()
	if _, err := late.Read(make([]byte, 1)); err == nil {
		t.Error("a connection has outlived the forwarder")
	}
	if s := f.Stats(); s.Open != 0 {
		t.Errorf("%+v; want none open", s)
	}
}

// A target that is down is a reset, as for a client that came to it.
func TestForwardToNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	f := forward(t, l.Addr().String(), ForwardOptions{})
	conn, err := net.Dial("tcp", f.Addr()) // the reset may come before the next line
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v; want a reset", err)
	}
}

package backend

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a server that says its lines and hears the others, in order: "S text" is said, "C text" must be heard, "! " closes.
func script(t *testing.T, lines ...string) Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		in := bufio.NewReader(conn)
		for _, line := range lines {
			kind, text, _ := strings.Cut(line, " ")
			if kind == "S" {
				if _, err := conn.Write([]byte(text + "\r\n")); err != nil {
					t.Errorf("%s: %v", line, err)
				}
				continue
			}
			if got, err := in.ReadString('\n'); strings.TrimRight(got, "\r\n") != text {
				t.Errorf("heard %q, %v; want %q", got, err, text)
				return
			}
		}
		_, _ = in.ReadString(0) // until the other side closes
	}()
	cfg := Defaults()
	cfg.URL = "imap://" + l.Addr().String()
	cfg.ForwardClient = "none"
	return cfg
}

func dial(t *testing.T, cfg Config) *Conn {
	t.Helper()
	b, err := New("source", cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func refusedAs(t *testing.T, err error, status, code, text string) {
	t.Helper()
	var r *Refused
	if !errors.As(err, &r) || r.Status != status || r.Code != code || r.Text != text {
		t.Errorf("error is %#v; want %s [%s] %s", err, status, code, text)
	}
}

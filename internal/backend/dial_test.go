package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"imapferry/internal/wire"
)

func TestDialRefused(t *testing.T) {
	tests := []struct {
		line string
		want string
	}{
		{"S * BYE [UNAVAILABLE] too many connections", "source refused connection: BYE [UNAVAILABLE] too many connections"},
		{"S 220 smtp.example ESMTP", "greeting is not IMAP"},
		{"S * PREAUTH hello", "greeting is not IMAP"},
		{"S * OK " + strings.Repeat("x", maxResponse), wire.ErrLineTooLong.Error()},
		// I9: a size that would overflow a sum must not become an allocation.
		{"S * OK {9223372036854775807}", wire.ErrLiteralTooLong.Error()},
		{"S * OK {60000}", io.ErrUnexpectedEOF.Error()},
	}
	for _, tt := range tests {
		cfg := script(t, tt.line)
		b, err := New("source", cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if strings.Contains(tt.line, "{60000}") {
			cfg.URL = closes(t, tt.line[2:]+"\r\nshort")
			if b, err = New("source", cfg); err != nil {
				t.Fatal(err)
			}
		}
		_, err = b.Dial(ctx, nil)
		cancel()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s: %v; want %s", tt.line, err, tt.want)
		}
	}
}

// closes is a server that says text and closes.
func closes(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		if conn, err := l.Accept(); err == nil {
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	}()
	return "imap://" + l.Addr().String()
}

// A server that accepts and then says nothing holds nobody up beyond the context.
func TestDialSilentServer(t *testing.T) {
	b, err := New("source", script(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no patience")
	cancel(why)
	if _, err := b.Dial(ctx, nil); !errors.Is(err, context.Canceled) && !errors.Is(err, why) {
		t.Errorf("err = %v", err)
	}
}

func TestDialUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	cfg := Defaults()
	cfg.URL = "imap://" + l.Addr().String()
	b, err := New("target", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Dial(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "dial target "+l.Addr().String()) {
		t.Errorf("err = %v", err)
	}
}

// Clear text that somebody put behind the STARTTLS reply must not be taken for the server's words after the handshake.
func TestStartTLSInjected(t *testing.T) {
	cfg := Defaults()
	cfg.ForwardClient = "none"
	cfg.URL = "imap+starttls" + strings.TrimPrefix(closes(t, "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\nf1 OK begin\r\n* CAPABILITY EVIL\r\n"), "imap")
	b, err := New("source", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Dial(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "in clear text behind the STARTTLS reply") {
		t.Errorf("err = %v", err)
	}
}

// Bytes that the server sends behind its login reply are in the Reader that is handed on.
func TestReadAhead(t *testing.T) {
	c := dial(t, script(t, greeting, `C f1 LOGIN "alice" "x"`, "S f1 OK [CAPABILITY IMAP4rev1] in\r\n* 1 EXISTS"))
	if _, err := c.LoginOwn(t.Context(), "alice", "x"); err != nil {
		t.Fatal(err)
	}
	if line, err := c.R.Line(100); string(line) != "* 1 EXISTS\r\n" {
		t.Errorf("Line() = %q, %v", line, err)
	}
}

func TestCommandLiteralInResponse(t *testing.T) {
	c := dial(t, script(t, greeting, "C f1 LIST \"\" *", "S * LIST () \"/\" {5}\r\na b\"c", "S f1 OK done"))
	if _, err := c.Command(`LIST "" *`); err != nil {
		t.Fatal(err)
	}
	if got := c.Untagged(); len(got) != 1 || string(got[0]) != "* LIST () \"/\" {5}\r\na b\"c\r\n" {
		t.Errorf("Untagged() = %q", got)
	}
}

// I9: a server that never completes a command does not fill memory.
func TestEndlessResponses(t *testing.T) {
	lines := []string{greeting, "C f1 NOOP"}
	for range maxResponses {
		lines = append(lines, "S * OK and so on")
	}
	c := dial(t, script(t, lines...))
	if _, err := c.Command("NOOP"); err == nil || !strings.Contains(err.Error(), "responses") {
		t.Errorf("err = %v", err)
	}
}

package proxy

import (
	"errors"
	"io"
	"net"
	"strings"

	"imapferry/internal/wire"
)

// reply is an error that the client hears as the tagged answer to its command: NO or BAD with an optional response code.
type reply struct{ status, code, text string }

func (r *reply) Error() string { return r.status + " " + coded(r.code, r.text) }

func no(code, text string) error { return &reply{"NO", code, text} }

func bad(text string) error { return &reply{"BAD", "", text} }

// unavailable is what a client hears when a server or the store cannot be reached: the log says which, the client does not.
func unavailable() error {
	return no("UNAVAILABLE", "the mail server is not available at the moment; please try again later")
}

// ending is an error that ends the session. bye is said to the client, unless it is empty.
type ending struct{ reason, bye string }

func (e *ending) Error() string { return e.reason }

// errTLSNoise is a TLS handshake where clear text is spoken.
var errTLSNoise = errors.New("tls handshake on the clear-text port")

// endOf says what a failed read or write of the client's connection means.
func endOf(err error) *ending {
	var e *ending
	var timeout net.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return &ending{reason: "client closed"}
	case errors.Is(err, errTLSNoise):
		return &ending{err.Error(), "this port begins in clear text; use STARTTLS, or the port for TLS"}
	case errors.Is(err, wire.ErrLineTooLong):
		return &ending{"line too long", "line too long"}
	case errors.Is(err, wire.ErrLiteralTooLong):
		return &ending{"literal too long", "literal too long"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &ending{"no login in time", "autologout: no login in time"} // RFC 9051, 5.4
	}
	return &ending{reason: err.Error()}
}

func coded(code, text string) string {
	if code == "" {
		return text
	}
	return "[" + code + "] " + text
}

// forPeople makes a server's words fit for one line: no control characters, no endless text.
func forPeople(text string) string {
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	const most = 500
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

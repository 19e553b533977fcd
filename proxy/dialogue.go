package proxy

import (
	"context"
	"errors"
	"strings"
	"time"

	"imapferry/internal/backend"
)

// handler obeys one command. It returns the text of the tagged OK, or an error: a *reply goes to the client, any
// other ends the session.
type handler func(s *session, ctx context.Context, cmd command) (ok string, err error)

// handlers are all commands before the login (RFC 9051, 6.1 and 6.2).
var handlers = map[string]handler{
	"CAPABILITY":   (*session).capability,
	"NOOP":         (*session).noop,
	"LOGOUT":       (*session).logout,
	"ID":           (*session).identify,
	"STARTTLS":     (*session).startTLS,
	"LOGIN":        (*session).plainLogin,
	"AUTHENTICATE": (*session).authenticate,
}

// converse is the dialogue from the greeting to the login. It returns nil once the login is through; all answers are
// written here.
func (s *session) converse(ctx context.Context) error {
	in := commandReader{
		r:       s.r,
		proceed: func() error { return s.write("+ go ahead\r\n") },
		refuse:  s.refuseLiteral,
	}
	for {
		s.arm()
		cmd, err := in.next()
		var text string
		if err == nil {
			text, err = s.obey(ctx, cmd)
		}
		if err = s.answer(cmd, text, err); err != nil {
			return s.cause(err)
		}
		if s.done {
			return &ending{reason: "logout"}
		}
		if s.entered != nil {
			return nil
		}
	}
}

func (s *session) obey(ctx context.Context, cmd command) (string, error) {
	h, ok := handlers[cmd.name]
	if !ok {
		return "", bad("unknown command, or not before the login")
	}
	return h(s, ctx, cmd)
}

// answer writes the tagged reply and counts what went wrong. An error ends the session.
func (s *session) answer(cmd command, text string, err error) error {
	var r *reply
	if err == nil {
		r = &reply{"OK", "", text}
	} else if !errors.As(err, &r) {
		return err
	}
	if cmd.name == "STARTTLS" && r.status == "OK" {
		return nil // it answered by itself, in clear text
	}
	if err := s.write(cmd.tag + " " + r.Error() + "\r\n"); err != nil {
		return err
	}
	if r.status == "BAD" {
		if s.bads++; s.bads >= maxBad {
			return &ending{"too many bad commands", "too many bad commands"}
		}
	}
	if s.fails >= maxFailed {
		return &ending{"too many failed logins", "too many failed logins"}
	}
	return nil
}

// cause tells a read that ended because the server stops from one that ended because of the client.
func (s *session) cause(err error) error {
	if s.draining.Err() != nil {
		return &ending{"shutdown", goingDown}
	}
	return err
}

const goingDown = "[UNAVAILABLE] imapferry is going down, please connect again"

func (s *session) capabilities() string {
	return strings.Join(preLoginCaps(s.tls, s.srv.cfg.TLS != nil), " ")
}

func (s *session) capability(_ context.Context, cmd command) (string, error) {
	if cmd.args.End() != nil {
		return "", bad("CAPABILITY takes no arguments")
	}
	return "CAPABILITY completed", s.write("* CAPABILITY " + s.capabilities() + "\r\n")
}

func (s *session) noop(_ context.Context, cmd command) (string, error) {
	if cmd.args.End() != nil {
		return "", bad("NOOP takes no arguments")
	}
	return "NOOP completed", nil
}

func (s *session) logout(_ context.Context, cmd command) (string, error) {
	if cmd.args.End() != nil {
		return "", bad("LOGOUT takes no arguments")
	}
	s.done = true
	return "LOGOUT completed", s.write("* BYE logging out\r\n")
}

// identify answers ID (RFC 2971). The client's parameters have no effect; whatever the form, refusing them breaks
// clients that always send them.
func (s *session) identify(context.Context, command) (string, error) {
	return "ID completed", s.write("* ID (\"name\" \"imapferry\")\r\n")
}

// startTLS is RFC 9051, 6.2.1. What came behind the command in clear text may have been put there by somebody between
// client and server, to be obeyed after the handshake as if the client had sent it: it is dropped unread.
func (s *session) startTLS(ctx context.Context, cmd command) (string, error) {
	switch {
	case cmd.args.End() != nil:
		return "", bad("STARTTLS takes no arguments")
	case s.tls:
		return "", bad("TLS is on already")
	case s.srv.cfg.TLS == nil:
		return "", no("", "TLS is not configured")
	}
	if n := s.r.Discard(); n > 0 {
		s.log.Warn("clear text behind STARTTLS dropped", "bytes", n)
	}
	if err := s.write(cmd.tag + " OK begin TLS\r\n"); err != nil {
		return "", err
	}
	_ = s.raw.SetDeadline(time.Time{})
	return "", s.handshake(ctx)
}

// plainLogin is LOGIN (RFC 9051, 6.2.3).
func (s *session) plainLogin(ctx context.Context, cmd command) (string, error) {
	if err := s.mayLogIn(); err != nil {
		return "", err
	}
	d := cmd.args
	d.SP()
	name := d.AString()
	d.SP()
	secret := backend.Secret(d.AString())
	if d.End() != nil {
		return "", bad("want LOGIN name password")
	}
	return s.login(ctx, credentials{name: name, secret: secret})
}

// mayLogIn refuses credentials in clear text.
func (s *session) mayLogIn() error {
	if s.tls {
		return nil
	}
	return no("PRIVACYREQUIRED", "TLS is needed before the login") // RFC 5530
}

// refuseLiteral lets only those commands send literals that take strings, and no credentials in clear text.
func (s *session) refuseLiteral(name string) error {
	switch name {
	case "ID":
		return nil
	case "LOGIN":
		return s.mayLogIn()
	}
	return bad("no literal here")
}

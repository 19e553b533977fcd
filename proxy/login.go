package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// Prove says which server proves a user's secret.
type Prove string

// The values of Prove.
const (
	ProveRoute  Prove = "route"  // the one that the route names
	ProveSource Prove = "source" // always the source
	ProveTarget Prove = "target" // always the target
)

// loginWait bounds a login with everything that it waits for, a cutover above all.
const loginWait = 2 * time.Minute

// errRerouted says that a hold came between reading the record and attaching the relay.
var errRerouted = errors.New("rerouted by a cutover")

// maxReroutes bounds how often one login is surprised by a cutover.
const maxReroutes = 5

// entry is a session that has been let in.
type entry struct {
	seat  *seat
	relay *relay
}

// login lets the client in, or says why not. The time it takes is not the client's and prolongs the deadline.
func (s *session) login(ctx context.Context, cred credentials) (string, error) {
	began := time.Now()
	defer func() { s.until = s.until.Add(time.Since(began)) }()
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()
	text, err := s.admit(ctx, cred)
	if err != nil {
		s.fails++
		return "", s.refusal(err)
	}
	return text, nil
}

func (s *session) admit(ctx context.Context, cred credentials) (string, error) {
	user, err := s.whoIs(ctx, cred)
	if err != nil {
		return "", err
	}
	log := s.log
	s.log = log.With("user", user) // for the relay, which keeps it
	st := s.srv.node.users.enter(user)
	for try := 1; ; try++ {
		text, err := s.enter(ctx, st, user, cred.secret)
		if err == nil {
			s.log.Info("logged in", "backend", backendName(st.onSource))
			return text, nil
		}
		if !errors.Is(err, errRerouted) || try == maxReroutes {
			st.leave()
			s.log = log
			return "", loginError{user, err}
		}
	}
}

// whoIs returns the canonical name of who logs in. Nobody can log in as somebody else (RFC 4616, 2).
func (s *session) whoIs(ctx context.Context, cred credentials) (string, error) {
	if cred.secret == "" || strings.ContainsRune(string(cred.secret), 0) {
		return "", no("AUTHENTICATIONFAILED", "a password is not empty and holds no NUL")
	}
	user, err := s.srv.cfg.Names.Canonical(ctx, cred.name)
	if errors.Is(err, ErrName) {
		return "", no("AUTHENTICATIONFAILED", forPeople(err.Error()))
	}
	if err != nil || cred.authz == "" || cred.authz == cred.name {
		return user, err
	}
	if other, err := s.srv.cfg.Names.Canonical(ctx, cred.authz); err != nil || other != user {
		return "", no("AUTHORIZATIONFAILED", "logging in as another user is not allowed")
	}
	return user, nil
}

// enter routes, proves the secret, enters the backend and attaches the relay.
func (s *session) enter(ctx context.Context, st *seat, user string, secret backend.Secret) (string, error) {
	rt, err := s.route(ctx, st, user)
	if err != nil {
		return "", err
	}
	conn, err := s.open(ctx, rt, user, secret)
	if err != nil {
		return "", err
	}
	caps := s.srv.learned.promise(rt)
	promised := caps(conn.Caps)
	cfg := relayConfig{Caps: caps, Views: rt.views, NoModSeq: rt.rec.Fidelity == state.Translated, LiteralPlus: conn.Caps.Has("LITERAL+"), Dozer: s.srv.dozer, Log: s.log}
	if rt.onSource {
		cfg.Touched, cfg.Life = s.srv.node.touches.by(user), s.srv.node.life
		l := &leaver{srv: s.srv, user: user, secret: secret, client: s.client, promised: promised, cfg: cfg}
		cfg.Target = l.open
	}
	r := newRelay(end{s.conn, s.r}, end{conn.Conn, conn.R}, cfg)
	if !st.attach(r, rt.onSource, rt.turn) {
		conn.Close()
		return "", errRerouted
	}
	s.entered = &entry{st, r}
	if offer := s.srv.cfg.Offer; offer != nil {
		offer.Offer(user, secret)
	}
	if rt.onSource {
		s.srv.learnTarget(context.WithoutCancel(ctx), user, secret)
	}
	return "[CAPABILITY " + strings.Join(promised, " ") + "] Logged in", nil
}

// open returns a connection to the backend of the route with the user logged in, after the secret has been proven.
func (s *session) open(ctx context.Context, rt route, user string, secret backend.Secret) (*backend.Conn, error) {
	prover := rt.backend
	switch s.srv.cfg.Prove {
	case ProveSource:
		prover = s.srv.cfg.Source
	case ProveTarget:
		prover = s.srv.cfg.Target
	}
	conn, err := s.dial(ctx, prover, func(c *backend.Conn) error {
		_, err := c.LoginOwn(ctx, user, secret)
		return err
	})
	if err != nil || prover == rt.backend {
		return conn, err
	}
	conn.Close()
	conn, err = s.dial(ctx, rt.backend, func(c *backend.Conn) error {
		_, err := c.Login(ctx, user, secret)
		return err
	})
	if err != nil { // not the user's fault: the secret is proven
		return nil, fmt.Errorf("enter %s after the secret was proven: %w", rt.backend.Name(), notRefused{err})
	}
	return conn, nil
}

// notRefused hides from refusal that a backend refused: its words are not for the client.
type notRefused struct{ err error }

func (e notRefused) Error() string { return e.err.Error() }

// dial connects to b and logs in. What the server says to people meanwhile is passed on, whether the login succeeds or not.
func (s *session) dial(ctx context.Context, b *backend.Backend, login func(*backend.Conn) error) (*backend.Conn, error) {
	conn, err := b.Dial(ctx, &s.client)
	if err != nil {
		return nil, err
	}
	err = login(conn)
	if alertErr := s.passAlerts(conn.Untagged()); err == nil && alertErr != nil {
		err = alertErr
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.srv.learned.note(b.Name(), conn.Caps)
	return conn, nil
}

// passAlerts passes on untagged OK and NO with the code ALERT, which must be shown to people (RFC 9051, 7.1).
func (s *session) passAlerts(lines [][]byte) error {
	for _, line := range lines {
		_, rest := wire.Tag(line)
		status, text, _ := strings.Cut(string(rest), " ")
		code, text := wire.SplitCode(text)
		if status = strings.ToUpper(status); !wire.EqualFold(code, "ALERT") || status != "OK" && status != "NO" {
			continue
		}
		if err := s.write("* " + status + " [ALERT] " + forPeople(text) + "\r\n"); err != nil {
			return endOf(err)
		}
	}
	return nil
}

// drop gives back what the login took, without a relay having run.
func (e *entry) drop() {
	e.relay.abandon()
	e.seat.leave()
}

func backendName(onSource bool) string {
	if onSource {
		return "source"
	}
	return "target"
}

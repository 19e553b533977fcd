package proxy

import (
	"context"
	"errors"
	"strings"

	"imapferry/internal/backend"
)

// loginError carries for the log who could not log in.
type loginError struct {
	user string
	err  error
}

func (e loginError) Error() string { return e.err.Error() }
func (e loginError) Unwrap() error { return e.err }

// loginCodes are the response codes of RFC 5530 that say something about a login; a server's own goes on to the client.
var loginCodes = map[string]bool{
	"UNAVAILABLE": true, "AUTHENTICATIONFAILED": true, "AUTHORIZATIONFAILED": true, "EXPIRED": true, "PRIVACYREQUIRED": true,
	"CONTACTADMIN": true, "INUSE": true, "LIMIT": true, "ALERT": true,
}

// refusal turns the error of a login into what the client hears, and logs what it does not. Whose fault decides: the user's own
// secret is refused in the server's words, everything else is a server that is not available.
func (s *session) refusal(err error) error {
	log := s.log
	var who loginError
	if errors.As(err, &who) {
		log = log.With("user", who.user)
	}
	var r *reply
	var refused *backend.Refused
	switch {
	case errors.As(err, &r):
		log.Info("login refused", "reason", r.Error())
		return r
	case errors.As(err, &refused) && wrongLogin(refused):
		log.Info("login refused", "reason", refused.Error())
		return refusedLogin(refused)
	case s.draining.Err() != nil:
		return &ending{"shutdown", goingDown}
	case errors.Is(err, context.DeadlineExceeded):
		log.Warn("login took too long", "err", err)
	case isBroken(err):
		return err
	default:
		log.Warn("login not possible", "err", err)
	}
	return unavailable()
}

// isBroken reports whether the client's own connection failed meanwhile.
func isBroken(err error) bool {
	var e *ending
	return errors.As(err, &e)
}

func wrongLogin(r *backend.Refused) bool {
	return r.Status != "BYE" && (r.Command == "LOGIN" || r.Command == "AUTHENTICATE")
}

func refusedLogin(r *backend.Refused) error {
	code, _, _ := strings.Cut(strings.ToUpper(r.Code), " ")
	if !loginCodes[code] {
		code = "AUTHENTICATIONFAILED"
	}
	return no(code, forPeople(r.Said()))
}

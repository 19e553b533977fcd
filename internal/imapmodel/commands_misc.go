package imapmodel

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// capability asks for the capabilities; check compares the answer with those before.
func (s *Session) capability() *command { return plain("CAPABILITY", "") }

// asks makes a command that is answered by responses of certain names, at least one of the first.
func asks(name, rest string, responses ...string) *command {
	c := plain(name, rest)
	answered := false
	c.data = func(r *response) (bool, error) {
		answered = answered || r.name == responses[0]
		return slices.Contains(responses, r.name), nil
	}
	c.ok = func(*response) error {
		if !answered {
			return fmt.Errorf("%s is answered without %s", name, responses[0])
		}
		return nil
	}
	return c
}

// misc is a command that changes nothing.
func (s *Session) misc() *command {
	switch n := s.rng.IntN(6); {
	case n == 0 && s.has("NAMESPACE"):
		return s.askNamespace()
	case n == 1 && s.has("QUOTA"):
		return asks("GETQUOTAROOT", "INBOX", "QUOTAROOT", "QUOTA")
	case n == 2:
		return s.capability()
	case n == 3 && s.view != nil:
		return plain("CHECK", "")
	case n == 4 && s.has("ID"):
		return asks("ID", "NIL", "ID")
	}
	return plain("NOOP", "")
}

// askNamespace demands the same answer every time.
func (s *Session) askNamespace() *command {
	c := plain("NAMESPACE", "")
	c.data = func(r *response) (bool, error) {
		if r.name != "NAMESPACE" {
			return false, nil
		}
		text := fmt.Sprint(r.args)
		if s.namespace != "" && s.namespace != text {
			return true, fmt.Errorf("NAMESPACE is %s, was %s", text, s.namespace)
		}
		s.namespace = text
		return true, nil
	}
	return c
}

// enable turns on what cannot be turned off. RFC 5161 allows it before a folder is opened only.
func (s *Session) enable() *command {
	what := "CONDSTORE"
	if s.has("QRESYNC") && s.rng.IntN(2) == 0 {
		what = "QRESYNC"
	}
	if s.view != nil || !s.has("ENABLE") || !s.has(what) {
		return nil
	}
	c := plain("ENABLE", what)
	told := false
	c.data = func(r *response) (bool, error) {
		if r.name != "ENABLED" {
			return false, nil
		}
		for _, arg := range r.args {
			told = told || strings.EqualFold(arg.text, what)
			s.condstore = s.condstore || strings.EqualFold(arg.text, "CONDSTORE") || strings.EqualFold(arg.text, "QRESYNC")
			s.qresync = s.qresync || strings.EqualFold(arg.text, "QRESYNC")
		}
		return true, nil
	}
	before := false // what is enabled already is not told again
	c.send = func() { before = s.condstore && what == "CONDSTORE" || s.qresync }
	c.ok = func(*response) error {
		if !told && !before {
			return fmt.Errorf("ENABLE %s is answered without it", what)
		}
		return nil
	}
	return c
}

// idle waits for a while, or for some events, and says DONE.
func (s *Session) idle(length time.Duration) error {
	c := plain("IDLE", "")
	if err := s.send(c); err != nil {
		return err
	}
	if err := s.consent(c); err != nil {
		return err
	}
	if err := s.pause(length, 1+s.rng.IntN(5)); err != nil {
		return err
	}
	s.write("DONE\r\n")
	if err := s.flush(); err != nil {
		return err
	}
	for len(s.inFlight) > 0 {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

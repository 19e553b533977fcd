package imapmodel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// check looks at one response. Account.mu is held.
func (s *Session) check(r *response) error {
	switch {
	case r.tag == "+":
		if s.plus--; s.plus < 0 {
			return fmt.Errorf("a continuation request that nobody waits for")
		}
		return nil
	case r.tag != "*":
		return s.completed(r)
	case s.bye != nil && !s.leaving:
		return fmt.Errorf("%s after BYE", r.name)
	}
	switch r.name {
	case "OK", "NO":
		return s.status(r)
	case "BAD":
		return fmt.Errorf("untagged BAD [%s] %s", strings.Join(r.code, " "), r.text)
	case "BYE":
		return s.farewell(r)
	case "CAPABILITY":
		return s.capabilities(r.args)
	case "EXISTS", "EXPUNGE", "VANISHED", "FETCH", "FLAGS", "RECENT":
		return s.mailbox(r)
	}
	for _, c := range s.inFlight {
		if c.data == nil {
			continue
		}
		if mine, err := c.data(r); mine || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s, which no command in flight asks for", r.name)
}

// completed checks a tagged response.
func (s *Session) completed(r *response) error {
	i := slices.IndexFunc(s.inFlight, func(c *command) bool { return c.tag == r.tag })
	if i < 0 {
		return fmt.Errorf("tag %s, which is not in flight", r.tag)
	}
	c := s.inFlight[i]
	s.inFlight = slices.Delete(s.inFlight, i, i+1)
	s.plus = 0
	defer func() { s.answers++ }()
	switch {
	case r.name == "OK":
		if r.is("CAPABILITY") {
			if err := s.capabilities(codeValues(r)); err != nil {
				return err
			}
		}
		if c.ok != nil {
			return c.ok(r)
		}
		return nil
	case r.name == "NO" && c.no != nil:
		return c.no(r)
	}
	return fmt.Errorf("%s is answered %s [%s] %s", c.name, r.name, strings.Join(r.code, " "), r.text)
}

func codeValues(r *response) []value {
	values := make([]value, len(r.code)-1)
	for i, word := range r.code[1:] {
		values[i] = value{text: word}
	}
	return values
}

// capabilities must stay what they are after the login.
func (s *Session) capabilities(list []value) error {
	caps := make([]string, len(list))
	for i, v := range list {
		caps[i] = strings.ToUpper(v.text)
	}
	slices.Sort(caps)
	if s.caps != nil && !slices.Equal(caps, s.caps) && len(s.inFlight) > 0 && s.inFlight[0].name != "LOGIN" {
		return fmt.Errorf("capabilities are %v, were %v", caps, s.caps)
	}
	s.caps = caps
	return nil
}

// farewell checks a BYE: the one legal reason beside LOGOUT is that the server cannot go on.
func (s *Session) farewell(r *response) error {
	s.bye = r
	if s.leaving || r.is("UNAVAILABLE") {
		return nil
	}
	return fmt.Errorf("BYE [%s] %s", strings.Join(r.code, " "), r.text)
}

// status checks an untagged OK or NO. Its code may belong to a folder that is being opened.
func (s *Session) status(r *response) error {
	if len(r.code) == 0 {
		return nil
	}
	for _, c := range s.inFlight {
		if c.data != nil {
			if mine, err := c.data(r); mine || err != nil {
				return err
			}
		}
	}
	arg := uint64(0)
	if len(r.code) > 1 {
		arg, _ = strconv.ParseUint(r.code[1], 10, 64)
	}
	v := s.opening()
	switch r.code[0] {
	case "CLOSED":
		s.view = nil
	case "UIDVALIDITY":
		if v == nil {
			return fmt.Errorf("UIDVALIDITY while no folder is opened")
		}
		v.validity = uint32(arg)
		return v.in.setValidity(v.validity)
	case "UIDNEXT":
		if v == nil {
			return fmt.Errorf("UIDNEXT while no folder is opened")
		}
		v.next = uint32(arg)
		return v.in.setNext(v.next, v.floors)
	case "HIGHESTMODSEQ":
		if v != nil && s.has("CONDSTORE") { // else it is of no use to a client, and may fall
			v.modseq = arg
			return v.in.setModseq(arg, v.floors)
		}
	}
	return nil
}

// opening returns the view that a SELECT in flight is about to make.
func (s *Session) opening() *view {
	for _, c := range s.inFlight {
		if c.opening != nil {
			return c.opening
		}
	}
	return nil
}

// current returns the view that responses speak of. While a folder is opened, what comes may still be about the one before:
// the server had not read the command when it said it (RFC 9051, 5.2). With QRESYNC, [CLOSED] tells where that ends; without,
// messages are taken for those of the folder before, and numbers for those of the new one, since the last of them are.
func (s *Session) current(name string) *view {
	v := s.opening()
	if v == nil || s.view != nil {
		return s.view
	}
	if v.before != nil && name != "EXISTS" && name != "FLAGS" {
		return v.before
	}
	return v
}

// mailbox checks a response about the open folder.
func (s *Session) mailbox(r *response) error {
	v := s.current(r.name)
	if v == nil {
		return fmt.Errorf("%s while no folder is open", r.name)
	}
	switch r.name {
	case "EXISTS":
		if old := v.before; old != nil {
			v.msgs = nil
			if int(r.num) > len(old.msgs) {
				_ = old.exists(r.num)
			}
		}
		return v.exists(r.num)
	case "EXPUNGE":
		return s.expunged(v, r)
	case "VANISHED":
		return s.vanished(v, r)
	case "FETCH":
		return s.fetched(v, r)
	case "FLAGS":
		if len(r.args) != 1 {
			return fmt.Errorf("FLAGS with %d arguments", len(r.args))
		}
		v.keywords = map[string]bool{}
		for _, f := range r.args[0].list {
			v.keywords[f.text] = true
		}
		if v.before != nil {
			v.before.keywords = v.keywords
		}
	}
	return nil // RECENT: RFC 9051 has given it up, and what it counts depends on who looked first
}

func (s *Session) expunged(v *view, r *response) error {
	if s.qresync {
		return fmt.Errorf("EXPUNGE in place of VANISHED")
	}
	if v == s.opening() {
		return fmt.Errorf("EXPUNGE while a folder is opened")
	}
	if !expungeAllowed(s.inFlight) {
		return fmt.Errorf("EXPUNGE %d while %s", r.num, describe(s.inFlight))
	}
	m, err := v.expunge(r.num)
	if err != nil || m.uid == 0 {
		return err
	}
	return s.a.remove(v.in, m.uid)
}

func (s *Session) vanished(v *view, r *response) error {
	if !s.qresync {
		return fmt.Errorf("VANISHED without QRESYNC")
	}
	if len(r.args) == 2 && len(r.args[0].list) == 1 && strings.EqualFold(r.args[0].list[0].text, "EARLIER") {
		uids, err := parseSet(r.args[1].text)
		if err != nil {
			return err
		}
		return s.earlier(uids)
	}
	if len(r.args) != 1 {
		return fmt.Errorf("VANISHED with %d arguments", len(r.args))
	}
	if !expungeAllowed(s.inFlight) || v == s.opening() {
		return fmt.Errorf("VANISHED while %s", describe(s.inFlight))
	}
	uids, err := parseSet(r.args[0].text)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if _, err := v.vanish(uid); err != nil {
			return err
		}
		if err := s.a.remove(v.in, uid); err != nil {
			return err
		}
	}
	return nil
}

func describe(inFlight []*command) string {
	if len(inFlight) == 0 {
		return "no command is in flight"
	}
	names := make([]string, len(inFlight))
	for i, c := range inFlight {
		names[i] = c.name
	}
	return strings.Join(names, ", ") + " in flight"
}

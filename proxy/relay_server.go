package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// maxGather bounds a response that is looked at whole.
const maxGather = 64 << 10

// toClient is the pump for responses.
func (r *relay) toClient() {
	defer r.pumped()
	err := r.responses()
	if errors.Is(err, errHalted) {
		return
	}
	reason := endedByBackend
	switch {
	case errors.Is(err, errWrite) && isTimeout(err):
		reason = endedByTimeout
	case errors.Is(err, errWrite):
		reason = endedByClient
	case errors.Is(err, errLifeless):
		reason = endedByUs
	}
	if werr := r.down.flush(); err == nil {
		err = werr
	}
	if err = orderly(err); err != nil {
		err = fmt.Errorf("relay to client: %w", err)
	}
	r.finish(reason, err)
}

// responses passes on responses until the backend or the client is gone, both pumps halt, or end was called.
func (r *relay) responses() error {
	for {
		err := r.await(backendSide)
		if errors.Is(err, errOver) {
			return r.bye()
		}
		if err != nil {
			return err
		}
		part, eol, err := r.backend.r.Part()
		if err != nil {
			return err
		}
		if err := r.response(part, eol); err != nil {
			return err
		}
	}
}

// bye says goodbye, unless the server has.
func (r *relay) bye() error {
	if r.bidden {
		return r.down.flush()
	}
	r.bidden = true
	if err := r.down.write([]byte("* BYE " + r.farewell + "\r\n")); err != nil {
		return err
	}
	return r.down.flush()
}

// response passes on one response, of whose first line part is at hand.
func (r *relay) response(part []byte, eol bool) (err error) {
	part, eol, err = r.gather(part, eol)
	if err != nil {
		return err
	}
	plus := part[0] == '+'
	if r.owes.Load() && !plus {
		if err := r.down.write(r.due(false)); err != nil {
			return err
		}
	}
	v, err := r.look(part, eol)
	if err != nil {
		r.mu.Lock()
		r.setReason(endedByBackend, err)
		r.farewell = "[UNAVAILABLE] the mail server said something that cannot be passed on"
		r.mu.Unlock()
		return errors.Join(err, r.bye())
	}
	if len(v.before) > 0 {
		if err := r.down.write(v.before); err != nil {
			return err
		}
	}
	if v.whole != nil {
		return r.wholeResponse(part, eol, v.whole)
	}
	if v.lines != nil {
		v.instead = v.lines(part)
	}
	if v.instead != nil {
		if err := r.down.write(v.instead); err != nil {
			return err
		}
	} else if !v.swallow {
		if err := r.down.write(part); err != nil {
			return err
		}
	}
	err = r.rest(part, eol, v)
	if err == nil && plus && r.owes.Load() {
		err = r.down.write(r.due(true))
	}
	return err
}

// rest passes on what follows the part of a response.
func (r *relay) rest(part []byte, eol bool, v judgement) (err error) {
	for {
		if eol {
			lit, _, ok := wire.ParseLiteral(part)
			if !ok || !v.literals {
				return nil
			}
			if err := r.down.literal(r.backend.r, lit.Size); err != nil {
				return err
			}
		}
		if part, eol, err = r.backend.r.Part(); err != nil {
			return cutShort(err)
		}
		if v.swallow {
			continue
		}
		out := part
		if v.lines != nil {
			out = v.lines(part)
		}
		if err := r.down.write(out); err != nil {
			return err
		}
	}
}

// judgement is what look says about a response.
type judgement struct {
	literals bool   // its lines may end in literals; text for people may look like that but has none
	swallow  bool   // the rest of its line does not reach the client
	instead  []byte // what the client is told in the place of the first part
	before   []byte // what the client is told ahead of it

	whole func([]byte) []byte // the response must be seen whole, literals and all, and becomes another one
	lines func([]byte) []byte // each part of a line becomes another one
}

// look judges a response by the beginning of its first line and keeps the table of commands in flight. It runs before
// the client sees any of it, so that what the client sends in answer is judged by the new state.
func (r *relay) look(part []byte, eol bool) (judgement, error) {
	if part[0] == '+' {
		return judgement{swallow: r.continuation()}, nil
	}
	tag, rest := wire.Tag(part)
	word := firstWord(rest)
	if len(tag) == 1 && tag[0] == '*' {
		if r.cfg.Touched != nil {
			r.place.heard(word, rest, eol)
		}
		if word == "" && r.owes.Load() {
			if out, ok := r.recount(part, rest); ok {
				return judgement{literals: true, instead: out}, nil
			}
		}
		v, err := r.untagged(part, eol, word, rest)
		if r.views != nil && r.views.gaps {
			v.before = r.vanishedBefore(word, rest)
		}
		return v, err
	}
	if word != "OK" && word != "NO" && word != "BAD" {
		return judgement{}, nil // the second line of a text with a line end in it; servers send that
	}
	c, before := r.completed(tag, word == "OK", part)
	if c != nil && c.reply != "" {
		return judgement{swallow: true, instead: []byte(c.reply + "\r\n")}, nil
	}
	v, err := r.status(part, eol, c)
	v.before = before
	if c != nil && c.short && word == "OK" && v.instead == nil {
		v.instead = issued(part)
	}
	return v, err
}

// firstWord returns the first word of a response in upper case. Most begin with a number, which is not of interest.
func firstWord(rest []byte) string {
	if len(rest) == 0 || rest[0] >= '0' && rest[0] <= '9' {
		return ""
	}
	word, _ := wire.Tag(rest)
	return strings.ToUpper(string(word[:min(len(word), 16)]))
}

// continuation gives a "+" to the command that waits for it and reports whether the client must not see it.
func (r *relay) continuation() (swallow bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.flight.plus()
	if c == nil {
		return false
	}
	r.checkQuiet()
	r.changed.Broadcast()
	return c.ownPlus
}

// completed takes the command with tag, which line completes, out of the table, or returns nil if there is none. before
// is what the client is told ahead of line.
func (r *relay) completed(tag []byte, ok bool, line []byte) (c *inFlight, before []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c = r.flight.complete(tag); c == nil {
		return nil, nil
	}
	if c.reply == "" { // else the backend has not had it
		before = r.concluded(c, ok, line)
	}
	r.bidden = r.bidden || ok && c.name == "LOGOUT"
	r.checkQuiet()
	r.changed.Broadcast()
	return c, before
}

// concluded lets all who follow commands take note of c. The caller holds mu.
func (r *relay) concluded(c *inFlight, ok bool, line []byte) (before []byte) {
	if r.views != nil {
		if ok {
			before = r.views.vanished(c, r.views.opening)
		}
		r.views.completed(c, ok)
	}
	if r.witness != nil {
		r.witness.completed(c, ok, line)
	}
	if r.cfg.Touched != nil {
		r.place.completed(c, ok, line)
	}
	return before
}

func (r *relay) untagged(part []byte, eol bool, word string, rest []byte) (judgement, error) {
	switch word {
	case "BYE":
		r.bidden = true
		r.mu.Lock()
		if r.flight.oldest("LOGOUT") != nil {
			r.reason, r.err = endedByLogout, nil // even if the client has closed already
		}
		r.mu.Unlock()
		return r.status(part, eol, nil)
	case "OK", "NO", "BAD", "PREAUTH":
		return r.status(part, eol, nil)
	case "CAPABILITY":
		return r.capability(part, eol, len("* "), len("* ")+len(wire.TrimEOL(rest)))
	case "ENABLED":
		r.mu.Lock()
		if r.witness != nil {
			r.witness.enabled(rest)
		}
		if r.views != nil {
			r.views.enabled(rest)
		}
		r.mu.Unlock()
	case "STATUS":
		if r.views != nil {
			return judgement{whole: r.views.status}, nil
		}
	case "ESEARCH":
		return r.esearchOf(part, eol), nil
	case "URLFETCH":
		if r.views != nil {
			return judgement{literals: true, lines: r.views.urlsToClient}, nil
		}
	}
	return judgement{literals: true}, nil
}

// status looks into the response code of a status response. c is the command that it completes, or nil.
func (r *relay) status(part []byte, eol bool, c *inFlight) (judgement, error) {
	open := bytes.IndexByte(part, '[')
	if open < 1 || part[open-1] != ' ' || bytes.Count(part[:open], []byte(" ")) != 2 {
		return judgement{}, nil // no code, or a bracket in the text
	}
	word, _ := wire.Tag(part[open+1 : min(len(part), open+16)])
	switch name := strings.ToUpper(string(word)); name {
	case "CAPABILITY":
		code, _ := wire.SplitCode(string(wire.TrimEOL(part[open:])))
		if code == "" && eol {
			break // a bracket that never closes is no code to a client either
		}
		return r.capability(part, code != "", open+1, open+1+len(code))
	case "PERMANENTFLAGS":
		if c == nil && r.cfg.Touched != nil {
			r.place.code(part[open:])
		}
	case "HIGHESTMODSEQ":
		if r.cfg.NoModSeq {
			return judgement{instead: withoutHighest(part, open)}, nil
		}
	case "BADURL", "REFERRAL": // RFC 4469, RFC 2221
		if r.views != nil {
			return judgement{instead: r.views.urlsToClient(part)}, nil
		}
	case "UIDVALIDITY", "APPENDUID", "COPYUID":
		if c == nil && r.cfg.Touched != nil {
			r.place.code(part[open:])
		}
		if r.witness != nil && c == nil && name != "UIDVALIDITY" {
			r.promised(name, part)
		}
		if r.views == nil {
			break
		}
		r.mu.Lock()
		mailbox := r.views.subject(name, c, r.flight)
		r.mu.Unlock()
		line, told, ok := r.views.rewrite(part, open+1+len(name)+1, mailbox)
		if name == "UIDVALIDITY" {
			r.views.opening = told
		}
		if ok {
			return judgement{instead: line}, nil
		}
	}
	return judgement{}, nil
}

// errCapabilities ends a session rather than promise what was not looked at.
var errCapabilities = errors.New("capabilities of the backend do not fit into one buffer")

// capability replaces part[from:to], the word CAPABILITY and those behind it, by what the client is promised.
func (r *relay) capability(part []byte, eol bool, from, to int) (judgement, error) {
	if r.cfg.Caps == nil {
		return judgement{}, nil
	}
	if !eol {
		return judgement{}, errCapabilities
	}
	caps := r.cfg.Caps(backend.ParseCaps(string(part[from+len("CAPABILITY") : to])))
	line := append([]byte(nil), part[:from]...)
	line = append(line, "CAPABILITY"...)
	for _, c := range caps {
		line = append(append(line, ' '), c...)
	}
	return judgement{instead: append(line, part[to:]...)}, nil
}

// cutShort makes the end of the stream inside a response an error of its own.
func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

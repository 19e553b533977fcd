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
	err := r.responses()
	reason := endedByBackend
	switch {
	case errors.Is(err, errWrite) && isTimeout(err):
		reason = endedByTimeout
	case errors.Is(err, errWrite):
		reason = endedByClient
	}
	if werr := r.down.flush(); err == nil {
		err = werr
	}
	if err = orderly(err); err != nil {
		err = fmt.Errorf("relay to client: %w", err)
	}
	r.finish(reason, err)
}

// responses passes on responses until the backend or the client is gone, or end was called.
func (r *relay) responses() error {
	for {
		r.mu.Lock()
		r.between = true
		ending := r.ending
		r.mu.Unlock()
		if ending {
			return r.bye()
		}
		part, eol, err := r.backend.r.Part()
		r.mu.Lock()
		r.between = false
		ending = r.ending
		r.mu.Unlock()
		if ending {
			return r.bye()
		}
		if err != nil {
			return err
		}
		if err := r.response(part, eol); err != nil {
			return err
		}
	}
}

func (r *relay) bye() error {
	if err := r.down.write([]byte("* BYE " + r.farewell + "\r\n")); err != nil {
		return err
	}
	return r.down.flush()
}

// response passes on one response, of whose first line part is at hand.
func (r *relay) response(part []byte, eol bool) (err error) {
	v, err := r.look(part, eol)
	if err != nil {
		r.mu.Lock()
		r.setReason(endedByBackend, err)
		r.farewell = "[UNAVAILABLE] the mail server said something that cannot be passed on"
		r.mu.Unlock()
		return errors.Join(err, r.bye())
	}
	if v.status {
		return r.mailboxStatus(part, eol)
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
	return r.rest(part, eol, v)
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
		if err := r.down.write(part); err != nil {
			return err
		}
	}
}

// judgement is what look says about a response.
type judgement struct {
	literals bool   // its lines may end in literals; text for people may look like that but has none
	swallow  bool   // the rest of its line does not reach the client
	instead  []byte // what the client is told in the place of the first part
	status   bool   // a STATUS response, which must be seen whole
}

// look judges a response by the beginning of its first line and keeps the table of commands in flight. It runs before the client sees
// any of it, so that what the client sends in answer is judged by the new state.
func (r *relay) look(part []byte, eol bool) (judgement, error) {
	if part[0] == '+' {
		return judgement{swallow: r.continuation()}, nil
	}
	tag, rest := wire.Tag(part)
	word := firstWord(rest)
	if len(tag) == 1 && tag[0] == '*' {
		return r.untagged(part, eol, word, rest)
	}
	if word != "OK" && word != "NO" && word != "BAD" {
		return judgement{}, nil // the second line of a text with a line end in it; servers send that
	}
	c := r.completed(tag, word == "OK")
	if c != nil && c.reply != "" {
		return judgement{swallow: true, instead: []byte(c.reply + "\r\n")}, nil
	}
	return r.status(part, eol, c)
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

// completed takes the command with tag out of the table, or returns nil if there is none.
func (r *relay) completed(tag []byte, ok bool) *inFlight {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.flight.complete(tag)
	if c == nil {
		return nil
	}
	if ok && r.views != nil {
		r.views.completed(c)
	}
	r.checkQuiet()
	r.changed.Broadcast()
	return c
}

func (r *relay) untagged(part []byte, eol bool, word string, rest []byte) (judgement, error) {
	switch word {
	case "BYE":
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
	case "STATUS":
		if r.views != nil {
			return judgement{status: true}, nil
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
	case "UIDVALIDITY", "APPENDUID", "COPYUID":
		if r.views == nil {
			break
		}
		r.mu.Lock()
		mailbox := r.views.subject(name, c, r.flight)
		r.mu.Unlock()
		if line, ok := r.views.rewrite(part, open+1+len(name)+1, mailbox); ok {
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

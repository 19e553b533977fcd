package proxy

import (
	"bytes"
	"errors"
	"io"

	"imapferry/internal/wire"
)

// arguments collects the beginning of a command until its mailbox names are known. It belongs to toBackend.
type arguments struct {
	before int // words before the first name, without the tag
	names  int
	text   []byte
}

// newArguments returns nil for a command whose names are of no interest.
func newArguments(name string) *arguments {
	switch name {
	case "SELECT", "EXAMINE", "APPEND", "CREATE", "DELETE", "SUBSCRIBE", "UNSUBSCRIBE":
		return &arguments{before: 1, names: 1}
	case "COPY", "MOVE", "REPLACE":
		return &arguments{before: 2, names: 1}
	case "UID COPY", "UID MOVE", "UID REPLACE":
		return &arguments{before: 3, names: 1}
	case "RENAME":
		return &arguments{before: 1, names: 2}
	}
	return nil
}

// maxNames bounds what is kept of a command to find its names: servers take no longer lines.
const maxNames = 64 << 10

// wants reports whether a literal of size bytes can be one of the names.
func (a *arguments) wants(size int64) bool {
	return a != nil && size <= maxNames-int64(len(a.text))
}

// parse returns the names. more says that they are not all there yet.
func (a *arguments) parse() (names []string, more bool) {
	limits := wire.Limits{Line: maxNames, Literal: maxNames, Total: 2 * maxNames}
	d := wire.NewDecoder(wire.NewReader(bytes.NewReader(a.text), len(a.text)+1), limits)
	if d.Next() != nil {
		return nil, false
	}
	d.AString() // the tag
	for range a.before {
		d.SP()
		d.Atom()
	}
	for range a.names {
		d.SP()
		names = append(names, d.AString())
	}
	if d.Err() != nil {
		return nil, errors.Is(d.Err(), io.ErrUnexpectedEOF)
	}
	return names, false
}

// note keeps a part of a command's line and, at its end, looks for the names. It runs before that end is sent on, so that
// no response can come before the names are known.
func (r *relay) note(c *inFlight, part []byte, eol bool) {
	a := c.args
	if a == nil {
		return
	}
	if len(a.text)+len(part) > maxNames {
		c.args = nil
		return
	}
	a.text = append(a.text, part...)
	if !eol {
		return
	}
	names, more := a.parse()
	if !more {
		c.args = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.names = names
}

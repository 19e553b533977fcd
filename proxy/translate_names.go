package proxy

import (
	"bytes"

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
	case "SELECT", "EXAMINE", "APPEND":
		return &arguments{before: 1, names: 1}
	case "COPY", "MOVE":
		return &arguments{before: 2, names: 1}
	case "UID COPY", "UID MOVE":
		return &arguments{before: 3, names: 1}
	case "RENAME":
		return &arguments{before: 1, names: 2}
	}
	return nil
}

// wants reports whether a literal of size bytes can be one of the names.
func (a *arguments) wants(size int64) bool {
	return a != nil && size <= maxGather-int64(len(a.text))
}

// parse returns the names, or nil if they are not all there.
func (a *arguments) parse() []string {
	limits := wire.Limits{Line: maxGather, Literal: maxGather, Total: maxGather}
	d := wire.NewDecoder(wire.NewReader(bytes.NewReader(a.text), 0), limits)
	if d.Next() != nil {
		return nil
	}
	d.AString() // the tag
	for range a.before {
		d.SP()
		d.Atom()
	}
	var names []string
	for range a.names {
		d.SP()
		names = append(names, d.AString())
	}
	if d.Err() != nil {
		return nil
	}
	return names
}

// note takes more of the command c: a part of a line, or a literal. lineEnd says that a line may be complete.
func (r *relay) note(c *inFlight, text []byte, last bool) {
	a := c.args
	if a == nil {
		return
	}
	if len(a.text)+len(text) > maxGather {
		c.args = nil // no name is that long
		return
	}
	if a.text = append(a.text, text...); text[len(text)-1] != '\n' && !last {
		return
	}
	if names := a.parse(); names != nil {
		r.mu.Lock()
		c.names = names
		r.mu.Unlock()
		c.args = nil
	} else if last {
		c.args = nil
	}
}

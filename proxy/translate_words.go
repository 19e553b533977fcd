package proxy

import (
	"strings"

	"imapferry/internal/wire"
)

// word is one of a command: an atom, a string, or a parenthesis.
type word struct {
	kind  wordKind
	text  string // of an atom; of others it is not kept
	depth int    // how many parentheses are open around it
}

type wordKind int

const (
	atom wordKind = iota
	quoted
	literal
	opens
	closes
)

// is reports whether w is the atom name.
func (w word) is(name string) bool { return w.kind == atom && strings.EqualFold(w.text, name) }

// maxWord is how much is kept of an atom. A set of UIDs may be as long as servers take lines.
const maxWord = 64 << 10

// scanner takes a command apart as it comes, part by part, without a grammar: what is wrong stays wrong, and is for the
// backend to refuse.
type scanner struct {
	each     func(word)
	sections bool // "[" begins what belongs to the atom up to "]", as in BODY[HEADER.FIELDS (To)]

	begun   bool // inside an atom
	atom    []byte
	depth   int
	section int  // brackets open
	inside  bool // a quoted string
	escaped bool
}

// line takes a part of a line, without the bodies of literals; they count as strings.
func (s *scanner) line(part []byte, eol bool) {
	announced := false
	if eol {
		_, start, ok := wire.ParseLiteral(part)
		if announced = ok; ok {
			part = part[:start]
		}
		part = wire.TrimEOL(part)
	}
	for _, c := range part {
		s.next(c)
	}
	if !eol {
		return
	}
	s.inside, s.escaped = false, false
	switch {
	case announced && s.section > 0: // one of the section's header fields
	case announced:
		s.endAtom()
		s.each(word{kind: literal, depth: s.depth})
	default:
		s.endAtom()
	}
}

func (s *scanner) next(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case s.inside:
		s.escaped, s.inside = c == '\\', c != '"'
	case c == '"':
		s.inside = true
		if s.section == 0 {
			s.endAtom()
			s.each(word{kind: quoted, depth: s.depth})
		}
	case s.section > 0:
		switch c {
		case '[':
			s.section++
		case ']':
			s.section--
		}
	case c == ' ':
		s.endAtom()
	case c == '(':
		s.endAtom()
		s.each(word{kind: opens, depth: s.depth})
		s.depth++
	case c == ')':
		s.endAtom()
		s.depth = max(s.depth-1, 0)
		s.each(word{kind: closes, depth: s.depth})
	default:
		s.begun = true
		if len(s.atom) < maxWord {
			s.atom = append(s.atom, c)
		}
		if c == '[' && s.sections {
			s.section++
		}
	}
}

func (s *scanner) endAtom() {
	if s.begun {
		s.each(word{atom, string(s.atom), s.depth})
	}
	s.begun, s.section, s.atom = false, 0, s.atom[:0]
}

package imapmodel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of one response, far above what the model asks for.
const (
	maxWord    = 1 << 20
	maxLiteral = 16 << 20
	maxDepth   = 16
)

var errSyntax = errors.New("malformed response")

// value is an atom, a string or a list of a response.
type value struct {
	text   string
	list   []value // not nil for a list
	quoted bool    // a string: tells "NIL" from NIL
}

// response is one response of a server.
type response struct {
	tag  string
	name string   // upper case; empty for "+"
	num  uint32   // of "* n EXISTS"
	code []string // of OK, NO, BAD and BYE: the words of the response code, the first in upper case
	text string   // of OK, NO, BAD, BYE and "+"
	args []value
}

func (r *response) is(code string) bool { return len(r.code) > 0 && r.code[0] == code }

// responses reads strictly by RFC 9051, 9: one space between values, CRLF at the end. The first error stays.
type responses struct {
	b     *bufio.Reader
	line  strings.Builder // of the response under way, for the trace
	err   error
	trace func(line string)
}

func (p *responses) next() (*response, error) {
	p.line.Reset()
	r := &response{tag: p.word("")}
	if r.tag == "+" {
		r.text = strings.TrimPrefix(p.restOfLine(), " ")
	} else {
		p.take(' ')
		p.body(r)
	}
	if p.line.Len() > 0 {
		p.trace(p.line.String())
	}
	if p.err == io.EOF && p.line.Len() > 0 {
		p.err = io.ErrUnexpectedEOF
	}
	return r, p.err
}

func (p *responses) body(r *response) {
	first := p.word("")
	if n, err := strconv.ParseUint(first, 10, 32); err == nil {
		r.num = uint32(n)
		p.take(' ')
		first = p.word("")
	}
	r.name = strings.ToUpper(first)
	switch r.name {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		r.splitCode(strings.TrimPrefix(p.restOfLine(), " "))
		return
	}
	for p.err == nil && p.peek() == ' ' {
		p.take(' ')
		if r.name == "SEARCH" && p.peek() == '\r' {
			break // some servers end an empty answer so
		}
		r.args = append(r.args, p.value(0))
	}
	p.take('\r')
	p.take('\n')
}

func (r *response) splitCode(text string) {
	inside, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]")
	if !strings.HasPrefix(text, "[") || !ok {
		r.text = text
		return
	}
	r.text = strings.TrimPrefix(rest, " ")
	if r.code = strings.Fields(inside); len(r.code) > 0 {
		r.code[0] = strings.ToUpper(r.code[0])
	}
}

func (p *responses) value(depth int) value {
	switch c := p.peek(); {
	case depth > maxDepth:
		p.fail("lists nested too deeply")
		return value{}
	case c == '(':
		return p.list(depth + 1)
	case c == '"':
		return value{text: p.quotedString(), quoted: true}
	case c == '{' || c == '~':
		return value{text: p.literal(), quoted: true}
	}
	return value{text: p.word("\"{")}
}

func (p *responses) list(depth int) value {
	v := value{list: []value{}}
	p.take('(')
	for p.err == nil && p.peek() != ')' {
		// Lists of parts in BODYSTRUCTURE and ENVELOPE stand side by side without a space.
		if n := len(v.list); n > 0 && (v.list[n-1].list == nil || p.peek() != '(') {
			p.take(' ')
		}
		v.list = append(v.list, p.value(depth))
	}
	p.take(')')
	return v
}

// word reads an atom, at least one byte. What is in square brackets belongs to it with spaces and all: BODY[HEADER.FIELDS (A)].
func (p *responses) word(stop string) string {
	var s strings.Builder
	for inside := false; p.err == nil && s.Len() < maxWord; {
		c := p.peek()
		if c == 0 || c == '\r' || c == '\n' || !inside && strings.IndexByte(" ()"+stop, c) >= 0 {
			break
		}
		inside = c == '[' || inside && c != ']'
		s.WriteByte(p.byte())
	}
	if s.Len() == 0 {
		p.fail("a value is missing")
	}
	return s.String()
}

func (p *responses) quotedString() string {
	var s strings.Builder
	p.take('"')
	for p.err == nil && s.Len() < maxWord {
		switch c := p.byte(); c {
		case '"':
			return s.String()
		case '\r', '\n':
			p.fail("line ends in a quoted string")
		case '\\':
			s.WriteByte(p.byte())
		default:
			s.WriteByte(c)
		}
	}
	p.fail("quoted string too long")
	return ""
}

func (p *responses) literal() string {
	if p.peek() == '~' { // literal8, RFC 3516
		p.byte()
	}
	p.take('{')
	n, err := strconv.Atoi(p.word("}"))
	if p.take('}'); err != nil || n < 0 || n > maxLiteral {
		p.fail("bad size of a literal")
	}
	p.take('\r')
	p.take('\n')
	if p.err != nil {
		return ""
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(p.b, body); err != nil {
		p.err = io.ErrUnexpectedEOF
	}
	p.line.WriteString(shorten(string(body), 40))
	return string(body)
}

func (p *responses) restOfLine() string {
	var s strings.Builder
	for p.err == nil && p.peek() != '\r' && s.Len() < maxWord {
		s.WriteByte(p.byte())
	}
	p.take('\r')
	p.take('\n')
	return s.String()
}

func (p *responses) peek() byte {
	if p.err != nil {
		return 0
	}
	head, err := p.b.Peek(1)
	if err != nil {
		p.err = err
		return 0
	}
	return head[0]
}

func (p *responses) byte() byte {
	c := p.peek()
	if p.err == nil {
		_, _ = p.b.Discard(1)
		p.line.WriteByte(c)
	}
	return c
}

func (p *responses) take(want byte) {
	if c := p.peek(); p.err == nil && c != want {
		p.fail(fmt.Sprintf("%q instead of %q", c, want))
		return
	}
	p.byte()
}

func (p *responses) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s after %q", errSyntax, what, shorten(p.line.String(), 200))
	}
}

// shorten keeps the trace readable where bodies are told.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + fmt.Sprintf("…(%d bytes)", len(s))
}

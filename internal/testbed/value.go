package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of what a server may say; far above what a test makes.
const (
	maxToken   = 1 << 20
	maxLiteral = 256 << 20
	maxDepth   = 16
)

var errSyntax = errors.New("malformed response")

// Value is an atom, a string or a parenthesised list of a response.
type Value struct {
	Text string  // of an atom, a quoted string or a literal
	List []Value // not nil for a list
	Atom bool    // tells the atom NIL from a string
}

// Response is one response of a server.
type Response struct {
	Tag    string  // "*", "+" or a command's tag
	Status string  // OK, NO, BAD, BYE, PREAUTH; else empty
	Code   string  // of a status: the response code without its brackets
	Text   string  // of a status or "+": the rest of the line
	Values []Value // of other responses
}

// respReader reads RFC 3501 responses, leniently: what real servers send and
// the grammar does not know (8-bit atoms, odd names) passes as it is.
type respReader struct{ r *bufio.Reader }

func (p respReader) next() (Response, error) {
	var resp Response
	tag, err := p.atom()
	if err != nil {
		return resp, err
	}
	resp.Tag = tag
	if tag == "+" {
		text, err := p.line()
		resp.Text = strings.TrimPrefix(text, " ")
		return resp, err
	}
	if err := p.expect(' '); err != nil {
		return resp, err
	}
	first, err := p.value(0)
	if err != nil {
		return resp, err
	}
	switch status := strings.ToUpper(first.Text); status {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		resp.Status = status
		text, err := p.line()
		resp.Code, resp.Text = splitCode(strings.TrimPrefix(text, " "))
		return resp, err
	}
	resp.Values, err = p.rest(first)
	return resp, err
}

// splitCode ends the code at the first bracket, as in CAPABILITY or APPENDUID.
func splitCode(text string) (code, rest string) {
	if after, ok := strings.CutPrefix(text, "["); ok {
		if code, rest, ok := strings.Cut(after, "]"); ok {
			return code, strings.TrimPrefix(rest, " ")
		}
	}
	return "", text
}

// rest reads the values up to the end of the response.
func (p respReader) rest(first Value) ([]Value, error) {
	values := []Value{first}
	for {
		b, err := p.r.ReadByte()
		if err != nil {
			return nil, midway(err)
		}
		switch b {
		case '\r':
			return values, p.expect('\n')
		case ' ': // some servers end a line with one
			if end, err := p.r.Peek(1); err == nil && end[0] == '\r' {
				continue
			}
			v, err := p.value(0)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
		default:
			return nil, fmt.Errorf("%w: %q after a value", errSyntax, b)
		}
	}
}

func (p respReader) value(depth int) (Value, error) {
	head, err := p.r.Peek(1)
	if err != nil {
		return Value{}, midway(err)
	}
	switch head[0] {
	case '(':
		return p.list(depth + 1)
	case '"':
		s, err := p.quoted()
		return Value{Text: s}, err
	}
	s, err := p.atom()
	if err != nil {
		return Value{}, err
	}
	if n, ok := literalSize(s); ok {
		s, err = p.literal(n)
		return Value{Text: s}, err
	}
	return Value{Text: s, Atom: true}, nil
}

func (p respReader) list(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, fmt.Errorf("%w: lists nested too deeply", errSyntax)
	}
	v := Value{List: []Value{}}
	if err := p.expect('('); err != nil {
		return v, err
	}
	for {
		head, err := p.r.Peek(1)
		if err != nil {
			return v, midway(err)
		}
		switch head[0] {
		case ')':
			return v, p.expect(')')
		case ' ':
			_ = p.expect(' ')
		default:
			item, err := p.value(depth)
			if err != nil {
				return v, err
			}
			v.List = append(v.List, item)
		}
	}
}

func (p respReader) quoted() (string, error) {
	var s strings.Builder
	if err := p.expect('"'); err != nil {
		return "", err
	}
	for s.Len() < maxToken {
		b, err := p.r.ReadByte()
		if err != nil {
			return "", midway(err)
		}
		switch b {
		case '"':
			return s.String(), nil
		case '\r', '\n':
			return "", fmt.Errorf("%w: line ends in a quoted string", errSyntax)
		case '\\':
			if b, err = p.r.ReadByte(); err != nil {
				return "", midway(err)
			}
		}
		s.WriteByte(b)
	}
	return "", fmt.Errorf("%w: quoted string too long", errSyntax)
}

// atom reads up to a space, a parenthesis or the end of the line; an atom that
// is nothing is an error, or a list would never end.
func (p respReader) atom() (string, error) {
	var s strings.Builder
	for s.Len() < maxToken {
		head, err := p.r.Peek(1)
		if err != nil {
			if s.Len() > 0 {
				err = midway(err)
			}
			return "", err
		}
		if strings.IndexByte(" ()\r\n", head[0]) >= 0 {
			if s.Len() == 0 {
				return "", fmt.Errorf("%w: %q instead of a value", errSyntax, head[0])
			}
			return s.String(), nil
		}
		_, _ = p.r.Discard(1)
		s.WriteByte(head[0])
		if n := s.String(); head[0] == '}' {
			if _, ok := literalSize(n); ok {
				return n, nil
			}
		}
	}
	return "", fmt.Errorf("%w: atom too long", errSyntax)
}

func literalSize(atom string) (int, bool) {
	digits, ok := strings.CutPrefix(strings.TrimPrefix(atom, "~"), "{")
	if !ok || !strings.HasSuffix(digits, "}") {
		return 0, false
	}
	n, err := strconv.Atoi(digits[:len(digits)-1])
	return n, err == nil && n >= 0
}

func (p respReader) literal(n int) (string, error) {
	if n > maxLiteral {
		return "", fmt.Errorf("%w: literal of %d bytes", errSyntax, n)
	}
	if err := p.expect('\r'); err != nil {
		return "", err
	}
	if err := p.expect('\n'); err != nil {
		return "", err
	}
	var body strings.Builder
	body.Grow(n)
	if _, err := io.CopyN(&body, p.r, int64(n)); err != nil {
		return "", midway(err)
	}
	return body.String(), nil
}

func (p respReader) line() (string, error) {
	var s strings.Builder
	for s.Len() < maxToken {
		part, err := p.r.ReadSlice('\n')
		s.Write(part)
		if err == nil {
			return strings.TrimRight(s.String(), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", midway(err)
		}
	}
	return "", fmt.Errorf("%w: line too long", errSyntax)
}

func (p respReader) expect(want byte) error {
	b, err := p.r.ReadByte()
	if err != nil {
		return midway(err)
	}
	if b != want {
		return fmt.Errorf("%w: %q instead of %q", errSyntax, b, want)
	}
	return nil
}

// midway keeps an end of the stream inside a response from passing as a clean one.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

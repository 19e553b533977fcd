package wire

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Limits bound what a Decoder keeps in memory for one command or response.
type Limits struct {
	Line    int   // bytes of one line
	Literal int64 // bytes of one literal that is kept; larger ones must be taken with Literal
	Total   int64 // bytes of all lines and kept literals together
}

// Decoder reads one command or response element by element. Its methods are named after the ABNF of RFC 9051, section 9.
// They remember the first error: check Err, or the result of End, once at the end.
type Decoder struct {
	r      *Reader
	limits Limits
	// OnLiteral, if set, is called before a literal is read; a server sends its continuation request there, or
	// refuses the literal by an error.
	OnLiteral func(Literal) error

	line []byte // the current line without its line end and without the marker of a literal
	pos  int
	lit  *Literal // announced at the end of line
	used int64
	err  error
}

// NewDecoder returns a Decoder over r.
func NewDecoder(r *Reader, limits Limits) *Decoder { return &Decoder{r: r, limits: limits} }

// Next reads the first line of the next command or response. io.EOF means that the stream ended before it.
func (d *Decoder) Next() error {
	d.used, d.err = 0, nil
	d.err = d.readLine()
	return d.err
}

func (d *Decoder) readLine() error {
	line, err := d.r.Line(d.limits.Line)
	if err != nil {
		return err
	}
	if d.used += int64(len(line)); d.used > d.limits.Total {
		return fmt.Errorf("%w: over %d bytes in all", ErrLineTooLong, d.limits.Total)
	}
	d.line, d.pos, d.lit = TrimEOL(line), 0, nil
	if lit, start, ok := ParseLiteral(d.line); ok {
		d.line, d.lit = d.line[:start], &lit
	}
	return nil
}

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

func (d *Decoder) fail(want string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: want %s at column %d of %s", ErrSyntax, want, d.pos+1, Quoted(clip(d.line)))
	}
}

// Peek returns the next byte, '{' where a literal stands, or 0 at the end.
func (d *Decoder) Peek() byte {
	switch {
	case d.err != nil:
		return 0
	case d.pos < len(d.line):
		return d.line[d.pos]
	case d.lit != nil:
		return '{'
	}
	return 0
}

// Accept takes c if it comes next.
func (d *Decoder) Accept(c byte) bool {
	if d.err == nil && d.pos < len(d.line) && d.line[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

// expect takes c, or fails.
func (d *Decoder) expect(c byte) bool {
	if d.Accept(c) {
		return true
	}
	d.fail(strconv.QuoteRune(rune(c)))
	return false
}

// SP takes one or more spaces: several are wrong, but servers send them.
func (d *Decoder) SP() bool {
	if !d.expect(' ') {
		return false
	}
	for d.Accept(' ') {
	}
	return true
}

// Atom takes everything up to a space, parenthesis, quote or the end, which is what servers send as atoms and flags
// and more than RFC 9051 allows. Parts in square brackets belong to it with all that is inside: BODY[HEADER.FIELDS (A B)].
func (d *Decoder) Atom() string {
	if d.err != nil {
		return ""
	}
	start, depth := d.pos, 0
	for ; d.pos < len(d.line); d.pos++ {
		c := d.line[d.pos]
		if c == '[' {
			depth++
		} else if c == ']' && depth > 0 {
			depth--
		} else if depth == 0 && (c == ' ' || c == '(' || c == ')' || c == '"') {
			break
		}
	}
	if d.pos == start {
		d.fail("atom")
	}
	return string(d.line[start:d.pos])
}

// Flag takes a flag or keyword: everything up to a space or parenthesis. Servers send flags with brackets and quotes in them.
func (d *Decoder) Flag() string {
	return d.until(" ()", "flag")
}

// until takes everything up to one of stops or the end, at least one byte.
func (d *Decoder) until(stops, want string) string {
	if d.err != nil {
		return ""
	}
	n := bytes.IndexAny(d.line[d.pos:], stops)
	if n < 0 {
		n = len(d.line) - d.pos
	}
	if n == 0 {
		d.fail(want)
	}
	d.pos += n
	return string(d.line[d.pos-n : d.pos])
}

// Number takes an unsigned number.
func (d *Decoder) Number() uint64 {
	a := d.Atom()
	n, err := strconv.ParseUint(a, 10, 64)
	if err != nil {
		d.pos -= len(a)
		d.fail("number")
	}
	return n
}

// Number32 takes an unsigned number of 32 bits: UIDs, sequence numbers, UIDVALIDITY.
func (d *Decoder) Number32() uint32 {
	n := d.Number()
	if n > 1<<32-1 {
		d.fail("number of 32 bits")
	}
	return uint32(n)
}

// AString takes an atom, quoted string or literal.
func (d *Decoder) AString() string {
	if c := d.Peek(); c == '"' || c == '{' {
		return string(d.String())
	}
	return d.until(" ()\"", "string") // not Atom: a mailbox name may hold brackets that never close
}

// NString takes NIL, for which ok is false, or a string.
func (d *Decoder) NString() (s []byte, ok bool) {
	if c := d.Peek(); c != '"' && c != '{' {
		if a := d.Atom(); d.err == nil && !EqualFold(a, "NIL") {
			return []byte(a), true // RFC 9051 asks for a string; some servers send an atom
		}
		return nil, false
	}
	return d.String(), d.err == nil
}

// String takes a quoted string or a literal within Limits.Literal. The result is the caller's.
func (d *Decoder) String() []byte {
	switch d.Peek() {
	case '"':
		return d.quoted()
	case '{':
		return d.keptLiteral()
	}
	d.fail("string")
	return nil
}

func (d *Decoder) quoted() []byte {
	var out []byte
	for i := d.pos + 1; i < len(d.line); i++ {
		switch c := d.line[i]; c {
		case '"':
			d.pos = i + 1
			return out
		case '\\':
			if i++; i == len(d.line) {
				break
			}
			out = append(out, d.line[i])
		default:
			out = append(out, c)
		}
	}
	d.fail("closing quote")
	return nil
}

func (d *Decoder) keptLiteral() []byte {
	if !d.atLiteral() {
		d.fail("literal")
		return nil
	}
	if size := d.lit.Size; size > d.limits.Literal || d.used+size > d.limits.Total {
		d.err = fmt.Errorf("%w: %d bytes", ErrLiteralTooLong, size)
		return nil
	}
	d.used += d.lit.Size
	lr := d.Literal()
	if lr == nil {
		return nil
	}
	b := make([]byte, lr.Left())
	if _, err := io.ReadFull(lr, b); err != nil {
		d.err = cutShort(err)
		return nil
	}
	d.EndLiteral()
	return b
}

// atLiteral tells the marker of a literal from a brace in the line.
func (d *Decoder) atLiteral() bool { return d.err == nil && d.lit != nil && d.pos == len(d.line) }

// Literal takes a literal of any size, which the caller reads to its end before EndLiteral. It returns nil if none stands here.
func (d *Decoder) Literal() *LiteralReader {
	if !d.atLiteral() {
		d.fail("literal")
		return nil
	}
	if d.OnLiteral != nil {
		if d.err = d.OnLiteral(*d.lit); d.err != nil {
			return nil
		}
	}
	d.line, d.pos = nil, 0 // which is in the reader's buffer, where the literal comes now
	return d.r.Literal(d.lit.Size)
}

// EndLiteral goes on with the line after a literal that was read to its end.
func (d *Decoder) EndLiteral() {
	if d.err == nil {
		d.err = cutShort(d.readLine())
	}
}

// List takes a parenthesised list, calling item for each element with the decoder before it.
func (d *Decoder) List(item func()) {
	if !d.expect('(') {
		return
	}
	for d.err == nil && !d.Accept(')') {
		if d.Accept(' ') {
			continue
		}
		pos, used := d.pos, d.used
		item()
		if d.err == nil && d.pos == pos && d.used == used {
			d.fail("list element")
		}
		if d.err == nil && d.Peek() == 0 {
			d.fail("')'")
		}
	}
}

// Skip takes one value of any kind: a list with all that is in it, a string or an atom. Literals are read and
// dropped. It counts parentheses instead of recursing, because the peer decides how deep they go.
func (d *Decoder) Skip() {
	for depth := 0; d.err == nil; {
		switch c := d.Peek(); {
		case c == '(':
			d.Accept('(')
			depth++
		case c == ')' && depth > 0:
			d.Accept(')')
			depth--
		case c == ' ' && depth > 0:
			d.Accept(' ')
		case c == 0 && depth > 0:
			d.fail("')'")
		default:
			d.skipOne(c)
		}
		if depth == 0 {
			return
		}
	}
}

// skipOne skips a string or an atom that begins with c.
func (d *Decoder) skipOne(c byte) {
	switch c {
	case '"':
		d.quoted()
	case '{':
		lr := d.Literal()
		if lr == nil {
			return
		}
		if _, err := io.Copy(io.Discard, lr); err != nil {
			d.err = err
			return
		}
		d.EndLiteral()
	default:
		d.Atom()
	}
}

// Rest takes the rest of the line as text.
func (d *Decoder) Rest() []byte {
	if d.err != nil {
		return nil
	}
	rest := d.line[d.pos:]
	d.pos = len(d.line)
	return rest
}

// End demands that nothing is left and returns the first error.
func (d *Decoder) End() error {
	if d.err == nil && d.Peek() != 0 {
		d.fail("end of line")
	}
	return d.err
}

// Drain reads what is left of the command or response and drops it, so that the next one can be read after a syntax
// error. A server, which has set OnLiteral, waits for no literal for which it would have to ask. It returns an error
// only if the frame is lost.
func (d *Decoder) Drain() error {
	for {
		if d.lit == nil || d.OnLiteral != nil && !d.lit.NonSync {
			return nil
		}
		lr := d.r.Literal(d.lit.Size)
		if _, err := io.Copy(io.Discard, lr); err != nil {
			return err
		}
		if err := d.readLine(); err != nil {
			return cutShort(err)
		}
	}
}

func clip(b []byte) []byte {
	if len(b) > 80 {
		return b[:80]
	}
	return b
}

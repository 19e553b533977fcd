package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

var testLimits = Limits{Line: 1000, Literal: 100, Total: 2000}

func decoder(text string) *Decoder {
	return NewDecoder(NewReader(strings.NewReader(text), 64), testLimits)
}

// TestDecoder reads one element after another by a letter each.
func TestDecoder(t *testing.T) {
	tests := []struct {
		text, read string
		want       string
		err        error
	}{
		{"a FETCH 12\r\n", "A A N", "a|FETCH|12", nil},
		{"x  y\r\n", "A A", "x|y", nil},
		{`"q\"\\" {3}` + "\r\na b rest\r\n", "S S R", `q"\|a b| rest`, nil},
		{"BODY[HEADER.FIELDS (A B)]<0> NIL nil\r\n", "A n n", "BODY[HEADER.FIELDS (A B)]<0>|NIL|NIL", nil},
		{"in[box \"in box\" ~{3}\r\nabc\r\n", "s s s", "in[box|in box|abc", nil},
		{"({3}\r\nabc (x \"y)\") z) (\\Seen [x) end\r\n", "K F A", "-|(\\Seen [x)|end", nil},
		{"{x\r\n", "S", "", ErrSyntax},
		{"{x {3}\r\nabc\r\n", "S", "", ErrSyntax},
		{"\"open\r\n", "S", "", ErrSyntax},
		{"\"open\\\r\n", "S", "", ErrSyntax},
		{"(a (b)\r\n", "K", "", ErrSyntax},
		{"(a\r\n", "F", "", ErrSyntax},
		{")\r\n", "K", "", ErrSyntax},
		{"4294967296\r\n", "3", "", ErrSyntax},
		{"12x\r\n", "N", "", ErrSyntax},
		{"a b\r\n", "A", "a", ErrSyntax},
		{"{101}\r\n", "S", "", ErrLiteralTooLong},
		{"{9223372036854775807}\r\n", "S", "", ErrLiteralTooLong},
		{"{3}\r\nab", "S", "", io.ErrUnexpectedEOF},
		{"{3}\r\nabc", "S", "", io.ErrUnexpectedEOF},
		{strings.Repeat("x", 1000) + "\r\n", "A", "", ErrLineTooLong},
	}
	for _, tt := range tests {
		d := decoder(tt.text)
		_ = d.Next() // remembered by the decoder
		var got []string
		for i, how := range strings.Fields(tt.read) {
			if i > 0 && how != "R" {
				d.SP()
			}
			got = append(got, readElement(d, how))
		}
		err := d.End()
		if !errors.Is(err, tt.err) || err == nil && strings.Join(got, "|") != tt.want {
			t.Errorf("%q = %q, %v; want %q, %v", tt.text, got, err, tt.want, tt.err)
		}
	}
}

func readElement(d *Decoder, how string) string {
	switch how {
	case "A":
		return d.Atom()
	case "N":
		return fmt.Sprint(d.Number())
	case "3":
		return fmt.Sprint(d.Number32())
	case "S":
		return string(d.String())
	case "s":
		return d.AString()
	case "n":
		if s, ok := d.NString(); ok {
			return string(s)
		}
		return "NIL"
	case "R":
		return string(d.Rest())
	case "K":
		d.Skip()
		return "-"
	case "F":
		var flags []string
		d.List(func() { flags = append(flags, d.Flag()) })
		return "(" + strings.Join(flags, " ") + ")"
	}
	return "?"
}

// TestDecoderDeep sends nothing but parentheses: the stack must not grow with what a peer sends.
func TestDecoderDeep(t *testing.T) {
	const n = 1 << 20
	text := strings.Repeat("(", n) + strings.Repeat(")", n) + "\r\n"
	d := NewDecoder(NewReader(strings.NewReader(text), 0), Limits{Line: 3 * n, Total: 3 * n})
	if err := d.Next(); err != nil {
		t.Fatal(err)
	}
	d.Skip()
	if err := d.End(); err != nil {
		t.Error(err)
	}
}

func TestDecoderTotal(t *testing.T) {
	d := decoder(strings.Repeat("{90}\r\n"+strings.Repeat("x", 90)+" ", 30) + "\r\n")
	err := d.Next()
	for err == nil {
		d.String()
		d.SP()
		err = d.Err()
	}
	if !errors.Is(err, ErrLiteralTooLong) && !errors.Is(err, ErrLineTooLong) {
		t.Errorf("err = %v; want a bound", err)
	}
}

// TestDecoderDrain goes on with the next command after a syntax error. A literal that a server refuses or has not
// asked for does not come.
// TestDecoderCutLiteral goes on with a literal that was cut short, as a body is whose source went away. The line before it is not
// there any more: what an error quoted of it were the bytes of another connection, to which the buffer had gone.
func TestDecoderCutLiteral(t *testing.T) {
	text := "* 1 FETCH (BODY[] {5000}\r\n" + strings.Repeat("secret ", 300)
	d := NewDecoder(NewReader(strings.NewReader(text), 0), Limits{Line: 1000, Literal: 100, Total: 10000})
	if err := d.Next(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"*", "1", "FETCH"} {
		if got := d.Atom(); got != want {
			t.Fatalf("read %q, want %q", got, want)
		}
		d.SP()
	}
	d.List(func() {
		d.Atom()
		d.SP()
		if _, err := io.Copy(io.Discard, d.Literal()); err == nil {
			t.Error("the literal was not cut short")
		}
		d.Atom()
	})
	if err := d.Err(); !errors.Is(err, ErrSyntax) || strings.Contains(err.Error(), "FETCH") || strings.Contains(err.Error(), "secret") {
		t.Errorf("quotes what is not there any more: %v", err)
	}
}

func TestDecoderDrain(t *testing.T) {
	refuse := func(l Literal) error {
		if l.NonSync {
			return nil
		}
		return ErrLiteralTooLong
	}
	tests := []struct {
		text   string
		refuse func(Literal) error
	}{
		{"( {3}\r\nabc {2}\r\n\r\n\r\nnext\r\n", nil},
		{"( {3+}\r\nabc {2+}\r\n\r\n\r\nnext\r\n", refuse},
		{"( {3}\r\nnext\r\n", refuse},
		{"x {3+}\r\nabc {2}\r\nnext\r\n", refuse},
		{"( x\r\nnext\r\n", refuse},
	}
	for _, tt := range tests {
		d := decoder(tt.text)
		d.OnLiteral = tt.refuse
		if err := d.Next(); err != nil {
			t.Fatal(err)
		}
		d.Number()
		if err := d.Drain(); err != nil {
			t.Errorf("%q: Drain = %v", tt.text, err)
		}
		if err := d.Next(); err != nil || string(d.Rest()) != "next" {
			t.Errorf("%q: next command is lost: %v", tt.text, err)
		}
	}
	d := decoder("{3}\r\nnext\r\n")
	d.OnLiteral = refuse
	_ = d.Next()
	if d.String(); !errors.Is(d.Err(), ErrLiteralTooLong) {
		t.Errorf("refused literal gave %v", d.Err())
	}
	if err := d.Drain(); err != nil {
		t.Error(err)
	}
	if err := d.Next(); err != nil || string(d.Rest()) != "next" {
		t.Errorf("after a refused literal: %v", err)
	}
}

// FuzzDecoder reads whatever elements the input asks for: no panic, no more kept than the limits allow.
func FuzzDecoder(f *testing.F) {
	f.Add("a FETCH (UID 3 BODY[] {3}\r\nabc FLAGS (\\Seen))\r\n", "ASAK")
	f.Add("{x\r\n", "S")
	f.Add("((\"\\\r\n{5}\r\n", "KFs")
	f.Add("(a {3+}\r\nabc) NIL 7\r\nb\r\n", "KnND3R")
	f.Fuzz(func(t *testing.T, text, ops string) {
		d := decoder(text)
		if len(ops) > 1000 {
			return
		}
		kept := 0
		for err := d.Next(); err == nil; err = d.Next() {
			for _, op := range ops {
				if op == ' ' {
					d.SP()
				} else {
					kept = max(kept, len(readElement(d, string(op))))
				}
			}
			if d.Drain() != nil {
				break
			}
		}
		if int64(kept) > testLimits.Total {
			t.Errorf("kept %d bytes", kept)
		}
	})
}

package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestResponses(t *testing.T) {
	tests := []struct{ in, want string }{
		{"* OK [UIDVALIDITY 7] fine\r\n", "{* OK UIDVALIDITY 7 fine []}"},
		{"t1 NO [NONEXISTENT] gone [away]\r\n", "{t1 NO NONEXISTENT gone [away] []}"},
		{"* BYE\r\n", "{* BYE   []}"},
		{"+ go on\r\n", "{+   go on []}"},
		{"* 2 EXISTS\r\n", "{*    [2 EXISTS]}"},
		{"* LIST (\\Sent \\X) \"/\" \"a \\\"b\\\\\"\r\n", `{*    [LIST (\Sent \X) "/" "a "b\"]}`},
		{"* LIST () NIL {3}\r\na\nb\r\n", "{*    [LIST () NIL \"a\nb\"]}"},
		{"* LIST () \".\" B\xfccher&\r\n", "{*    [LIST () \".\" B\xfccher&]}"},
		{"* SEARCH \r\n", "{*    [SEARCH]}"},
		{"* 1 FETCH (FLAGS ([brk cl}ose NIL) BODY[] {2}\r\n)()\r\n", `{*    [1 FETCH (FLAGS ([brk cl}ose NIL) BODY[] ")(")]}`},
	}
	for _, test := range tests {
		r, err := parse(test.in)
		if got := show(r); err != nil || got != test.want {
			t.Errorf("%q: %s, %v; want %s", test.in, got, err, test.want)
		}
	}
}

// A response cut short is never taken for a shorter one.
func TestResponsesCutShort(t *testing.T) {
	whole := "* 1 FETCH (FLAGS (\\Seen) BODY[] {4}\r\nbody X \"q\")\r\n"
	for n := 1; n < len(whole); n++ {
		if r, err := parse(whole[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %s, %v; want unexpected EOF", whole[:n], show(r), err)
		}
	}
	if _, err := parse(""); !errors.Is(err, io.EOF) {
		t.Errorf("between responses: %v; want EOF", err)
	}
}

func TestMalformedResponses(t *testing.T) {
	for _, in := range []string{
		"* 1 FETCH )\r\n", "* LIST (a\r\n", "* \"open\r\n", "* A\x00B (\n", " x\r\n",
		"* X {999999999999}\r\n", "* " + strings.Repeat("(", maxDepth+1) + "\r\n",
	} {
		if r, err := parse(in); !errors.Is(err, errSyntax) {
			t.Errorf("%q: %s, %v; want a syntax error", in, show(r), err)
		}
	}
}

func FuzzResponse(f *testing.F) {
	f.Add("* 1 FETCH (FLAGS (\\Seen) BODY[] {4}\r\nbody)\r\n")
	f.Add("* LIST () \"/\" \"a\\\"\"\r\n* OK [X] y\r\n")
	f.Fuzz(func(t *testing.T, in string) { _, _ = parse(in) })
}

func TestQuote(t *testing.T) {
	tests := map[string]any{"a b": `"a b"`, `q"\`: `"q\"\\"`, "": `""`, "ü": Literal("ü"), "a\nb": Literal("a\nb")}
	for in, want := range tests {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %#v; want %#v", in, got, want)
		}
	}
}

func parse(in string) (Response, error) {
	return respReader{bufio.NewReader(strings.NewReader(in))}.next()
}

func show(r Response) string {
	return fmt.Sprintf("{%s %s %s %s [%s]}", r.Tag, r.Status, r.Code, r.Text, showValues(r.Values))
}

func showValues(values []Value) string {
	var all []string
	for _, v := range values {
		switch {
		case v.List != nil:
			all = append(all, "("+showValues(v.List)+")")
		case v.Atom:
			all = append(all, v.Text)
		default:
			all = append(all, `"`+v.Text+`"`)
		}
	}
	return strings.Join(all, " ")
}

package wire

import (
	"bytes"
	"strconv"
	"testing"
)

func TestParseLiteral(t *testing.T) {
	tests := []struct {
		line  string
		want  Literal
		start int
		ok    bool
	}{
		{"a APPEND x {3}\r\n", Literal{Size: 3}, 11, true},
		{"a APPEND x {3+}\n", Literal{Size: 3, NonSync: true}, 11, true},
		{"~{0}", Literal{Binary: true}, 0, true},
		{"a ~{12+}\r\n", Literal{Size: 12, NonSync: true, Binary: true}, 2, true},
		{"{9223372036854775807}", Literal{Size: 1<<63 - 1}, 0, true},
		{"{9223372036854775808}", Literal{}, 0, false},
		{"{12345678901234567890}", Literal{}, 0, false},
		{"{00000000000000000001}", Literal{}, 0, false},
		{"{}", Literal{}, 0, false},
		{"{+}", Literal{}, 0, false},
		{"{3++}", Literal{}, 0, false},
		{"{-3}", Literal{}, 0, false},
		{"{3} ", Literal{}, 0, false},
		{"3}", Literal{}, 0, false},
		{"", Literal{}, 0, false},
		{"\r\n", Literal{}, 0, false},
	}
	for _, tt := range tests {
		lit, start, ok := ParseLiteral([]byte(tt.line))
		if lit != tt.want || start != tt.start || ok != tt.ok {
			t.Errorf("ParseLiteral(%q) = %+v, %d, %v; want %+v, %d, %v", tt.line, lit, start, ok, tt.want, tt.start, tt.ok)
		}
	}
}

func FuzzParseLiteral(f *testing.F) {
	for _, s := range []string{"a {3}\r\n", "~{3+}", "{", "}", "{+}\n", "x{9223372036854775807}", "{99999999999999999999}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		lit, start, ok := ParseLiteral(line)
		if !ok {
			return
		}
		rest := TrimEOL(line[start:])
		if lit.Size < 0 || lit.Binary != (rest[0] == '~') || lit.NonSync != bytes.HasSuffix(rest, []byte("+}")) {
			t.Fatalf("ParseLiteral(%q) = %+v, %d", line, lit, start)
		}
		digits := bytes.Trim(rest, "~{+}")
		if n, err := strconv.ParseInt(string(digits), 10, 64); err != nil || n != lit.Size {
			t.Errorf("ParseLiteral(%q) = %+v", line, lit)
		}
	})
}

func TestTrimEOL(t *testing.T) {
	for in, want := range map[string]string{"a\r\n": "a", "a\n": "a", "\r\n": "", "\n": "", "a\r": "a\r", "": "", "a\r\r\n": "a\r"} {
		if got := string(TrimEOL([]byte(in))); got != want {
			t.Errorf("TrimEOL(%q) = %q; want %q", in, got, want)
		}
	}
}

package wire

import (
	"testing"
	"unicode/utf8"
)

func TestNames(t *testing.T) {
	for name, utf := range map[string]string{
		"INBOX": "INBOX", "A&-B": "A&B", "Entw&APw-rfe": "Entwürfe", "&2D3eAA-": "\U0001f600", "&ZeVnLIqe-": "日本語", "": "", "&AAE-": "\x01",
	} {
		if got, err := DecodeName(name); got != utf || err != nil {
			t.Errorf("DecodeName(%q) = %q, %v; want %q", name, got, err, utf)
		}
		if got := EncodeName(utf); got != name {
			t.Errorf("EncodeName(%q) = %q; want %q", utf, got, name)
		}
	}
	for _, name := range []string{"&", "a&b", "&AGE-", "&2D0-", "&APx-", "&AP\nw-", "ü", "\x01", "&AA-", "&APw-&APw-", "&!!!-"} {
		if got, err := DecodeName(name); err == nil {
			t.Errorf("DecodeName(%q) = %q; want an error", name, got)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"INBOX", "&APw-", "&", "a&-b", "ü\U0001f600&x", "&2D3eAA-", "\xff", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf, err := DecodeName(s); err == nil && EncodeName(utf) != s {
			t.Errorf("DecodeName(%q) = %q, which is another name", s, utf)
		}
		if !utf8.ValidString(s) {
			return
		}
		if back, err := DecodeName(EncodeName(s)); err != nil || back != s {
			t.Errorf("DecodeName(EncodeName(%q)) = %q, %v", s, back, err)
		}
	})
}

func TestSplitCode(t *testing.T) {
	tests := []struct{ text, code, rest string }{
		{"[UIDNEXT 7] next", "UIDNEXT 7", "next"},
		{"[X \"a]\\\"b\"]  text", "X \"a]\\\"b\"", "text"},
		{"[READ-ONLY]", "READ-ONLY", ""},
		{"text [x]", "", "text [x]"},
		{"[open text", "", "[open text"},
		{"", "", ""},
	}
	for _, tt := range tests {
		if code, rest := SplitCode(tt.text); code != tt.code || rest != tt.rest {
			t.Errorf("SplitCode(%q) = %q, %q; want %q, %q", tt.text, code, rest, tt.code, tt.rest)
		}
	}
}

func TestQuoted(t *testing.T) {
	if got := Quoted("a\"b\\c\r\n\x00ü"); got != `"a\"b\\c?????"` {
		t.Errorf("Quoted = %s", got)
	}
	if NeedsLiteral(`a"b\`) || !NeedsLiteral("ü") || !NeedsLiteral("a\n") {
		t.Error("NeedsLiteral is wrong")
	}
	if CanonicalName("inBox") != "INBOX" || CanonicalName("Inbox/x") != "Inbox/x" {
		t.Error("CanonicalName is wrong")
	}
}

// TestUpper: places in what Upper returns were taken for places in the line, behind whose end they were.
func TestUpper(t *testing.T) {
	line := []byte("a fetch 1 \xff\xfeſüßz{@`9Z\r\n")
	if got, want := string(Upper(line)), "A FETCH 1 \xff\xfeſüßZ{@`9Z\r\n"; got != want {
		t.Errorf("Upper = %q; want %q", got, want)
	}
	if string(line[:3]) != "a f" {
		t.Error("Upper changes what it is given")
	}
}

func TestTag(t *testing.T) {
	for _, tt := range [][3]string{{"a NOOP\r\n", "a", "NOOP"}, {"a\r\n", "a", ""}, {"\r\n", "", ""}, {"* 1  x\n", "*", "1  x"}} {
		if tag, rest := Tag([]byte(tt[0])); string(tag) != tt[1] || string(rest) != tt[2] {
			t.Errorf("Tag(%q) = %q, %q", tt[0], tag, rest)
		}
	}
}

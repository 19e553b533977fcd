package wire

import (
	"bytes"
	"strings"
)

// EqualFold compares two ASCII words, as command names, atoms and response codes are compared.
func EqualFold(a, b string) bool { return strings.EqualFold(a, b) }

// Upper returns line with its ASCII letters in upper case. Each byte keeps its place, which bytes.ToUpper does not promise:
// that makes three bytes of one that is no UTF-8.
func Upper(line []byte) []byte {
	upper := bytes.Clone(line)
	for i, c := range upper {
		if c >= 'a' && c <= 'z' {
			upper[i] = c - 'a' + 'A'
		}
	}
	return upper
}

// Quoted returns s as a quoted string. It is meant for s without CR, LF, NUL and 8-bit bytes, see NeedsLiteral; in
// messages for people it shows those as '?'.
func Quoted[S string | []byte](s S) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case unquotable(c):
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// NeedsLiteral reports whether s can be sent only as a literal: a quoted string holds 7-bit characters without NUL, CR and LF
// (RFC 3501, section 9).
func NeedsLiteral(s string) bool {
	for i := range len(s) {
		if unquotable(s[i]) {
			return true
		}
	}
	return false
}

func unquotable(c byte) bool { return c == 0 || c == '\r' || c == '\n' || c >= 0x80 }

// Inbox is the one mailbox name that is compared without regard to case (RFC 9051, 5.1).
const Inbox = "INBOX"

// CanonicalName returns the mailbox name with INBOX in upper case and every other name as it is.
func CanonicalName(name string) string {
	if strings.EqualFold(name, Inbox) {
		return Inbox
	}
	return name
}

// SplitCode splits the text of a status response into its response code, without brackets, and the text for people:
// "[UIDNEXT 7] next" gives "UIDNEXT 7" and "next". code is empty if there is none.
func SplitCode(text string) (code, rest string) {
	if !strings.HasPrefix(text, "[") {
		return "", text
	}
	quoted := false
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ']' && !quoted:
			return text[1:i], strings.TrimLeft(text[i+1:], " ")
		}
	}
	return "", text
}

// Tag splits a line into its first word and the rest after one space. A line without a space is all tag.
func Tag(line []byte) (tag, rest []byte) {
	line = TrimEOL(line)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		return line[:i], line[i+1:]
	}
	return line, nil
}

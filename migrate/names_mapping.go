package migrate

import (
	"fmt"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

// mapping translates folder names between two servers that arrange them in other ways. Prefix and separator are those of
// each side; a byte that would be a separator there is written as = and two digits, and so is a = that could be taken for
// such an escape. INBOX is INBOX on both sides, and a folder that only would become INBOX has its first letter
// escaped. So every name has exactly one on the other side, and no two have the same:
//
//	source INBOX. and .          target / without prefix
//	INBOX                        INBOX
//	INBOX.Sent                   Sent
//	INBOX.Work.a/b               Work/a=2Fb
//	INBOX.50=2F                  50=3D2F
//	INBOX.Inbox                  =49nbox
//	public.News                  =00public/News       not below the prefix
//
// The engine knows folders by the source's names. A name of the target that none of the source stands for is the same
// behind a NUL, which no IMAP name has.
type mapping struct{ src, dst naming }

// naming is what the names of a user's own folders are made of.
type naming struct {
	prefix string
	sep    byte // 0: flat
}

// separator returns the separator as a string, "" for none.
func (n naming) separator() string {
	if n.sep == 0 {
		return ""
	}
	return string(n.sep)
}

const (
	targetOnly = "\x00" // begins the name of a folder of the target that stands for none of the source
	besideMark = "=00"  // begins the target's name for a folder of the source that is not below its prefix
)

// target returns the target's name for a name of the source.
func (m mapping) target(name string) string {
	if m.src == m.dst || name == wire.Inbox {
		return name
	}
	if there, ok := strings.CutPrefix(name, targetOnly); ok {
		return there
	}
	t := m.write(name, func(level string) string { return escape(level, m.dst.sep) })
	if wire.EqualFold(t, wire.Inbox) {
		t = escaped(t[0]) + t[1:]
	}
	return t
}

// source is the inverse of target.
func (m mapping) source(name string) string {
	if m.src == m.dst || name == wire.Inbox {
		return name
	}
	if s, ok := m.read(name); ok && m.target(s) == name && !wire.EqualFold(s, wire.Inbox) {
		return s
	}
	return targetOnly + name
}

// read returns the name of the source that target may have made name of.
func (m mapping) read(name string) (string, bool) {
	own, ok := strings.CutPrefix(name, m.dst.prefix)
	prefix := m.src.prefix
	if rest, beside := strings.CutPrefix(own, besideMark); beside {
		own, prefix = rest, ""
	}
	levels := []string{own}
	if m.nested() {
		levels = strings.Split(own, string(m.dst.sep))
	}
	for i, level := range levels {
		levels[i] = unescape(level)
	}
	s := prefix + strings.Join(levels, string(m.src.sep))
	return s, ok && !strings.Contains(s, "\x00")
}

// nested reports whether both sides have levels.
func (m mapping) nested() bool { return m.src.sep != 0 && m.dst.sep != 0 }

// write arranges a name of the source as the target does, each of its levels written by level.
func (m mapping) write(name string, level func(string) string) string {
	own, ok := strings.CutPrefix(name, m.src.prefix)
	prefix := m.dst.prefix
	if !ok || own == "" {
		own, prefix = name, prefix+besideMark
	}
	levels := []string{own}
	if m.nested() {
		levels = strings.Split(own, string(m.src.sep))
	}
	for i := range levels {
		levels[i] = level(levels[i])
	}
	return prefix + strings.Join(levels, string(m.dst.sep))
}

// escape writes a level without sep, so that unescape reads it again.
func escape(level string, sep byte) string {
	var b strings.Builder
	for i := range len(level) {
		c := level[i]
		_, confusing := hexAt(level, i+1)
		if c == sep && sep != 0 || c == '=' && confusing {
			b.WriteString(escaped(c))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(level string) string {
	var b strings.Builder
	for i := 0; i < len(level); i++ {
		if c, ok := hexAt(level, i+1); ok && level[i] == '=' {
			b.WriteByte(c)
			i += 2
		} else {
			b.WriteByte(level[i])
		}
	}
	return b.String()
}

func escaped(c byte) string { return fmt.Sprintf("=%02X", c) }

// hexAt reads two hexadecimal digits, with letters in upper case.
func hexAt(s string, i int) (byte, bool) {
	if i+2 > len(s) || s[i:i+2] != strings.ToUpper(s[i:i+2]) || strings.ContainsAny(s[i:i+2], "+-_") {
		return 0, false
	}
	n, err := strconv.ParseUint(s[i:i+2], 16, 8)
	return byte(n), err == nil
}

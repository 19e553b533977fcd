package proxy

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

// maxEnabled bounds how many extensions a session can take along.
const maxEnabled = 50

// place is where a session on the source stands, as far as another server has to be told. It belongs to toClient, which
// learns it from what the source answers: what a client has asked for counts only when it has been granted.
type place struct {
	selected    bool
	readOnly    bool   // by EXAMINE
	mailbox     string // as the client named it
	uidValidity uint32 // as the client was told it
	exists      int    // messages that the client knows of
	blind       bool   // exists could not be counted
	flags       string // which there are, "(…)"
	permanent   string // which can be kept, "(…)"

	enabled []string // by ENABLE, in upper case
	mods    bool     // mod-sequences are told (RFC 7162, 3.1)
	saved   bool     // there is a saved search (RFC 5182)
	stays   bool     // the session has something that does not go along
}

// enables reports whether ENABLE has turned on ext.
func (p *place) enables(ext string) bool { return slices.Contains(p.enabled, ext) }

// heard takes note of an untagged response that begins with word, or with a number if word is empty.
func (p *place) heard(word string, rest []byte, eol bool) {
	switch word {
	case "":
		p.counted(rest)
	case "VANISHED":
		p.vanished(rest, eol)
	case "FLAGS":
		_, list := wire.Tag(rest)
		p.flags = string(wire.TrimEOL(list))
	case "ENABLED":
		for _, ext := range strings.Fields(strings.ToUpper(string(rest)))[1:] {
			if len(p.enabled) == maxEnabled {
				p.stays = true
				return
			}
			if !p.enables(ext) {
				p.enabled = append(p.enabled, ext)
			}
			p.mods = p.mods || ext == "CONDSTORE" || ext == "QRESYNC"
		}
	}
}

// counted follows EXISTS and EXPUNGE.
func (p *place) counted(rest []byte) {
	number, what := wire.Tag(rest)
	if len(what) < len("EXISTS") || what[0]|0x20 != 'e' {
		return
	}
	n, err := strconv.Atoi(string(number))
	if err != nil {
		return
	}
	switch word := firstWord(what); {
	case word == "EXISTS":
		p.exists, p.blind = n, false
	case word == "EXPUNGE" && n > 0 && n <= p.exists:
		p.exists--
	case word == "EXPUNGE":
		p.blind = true
	}
}

// vanished follows VANISHED, but for EARLIER ones, of which the client has not known by number.
func (p *place) vanished(rest []byte, eol bool) {
	_, what := wire.Tag(rest)
	if len(what) > 0 && what[0] == '(' {
		return
	}
	set, err := wire.ParseSet(string(wire.TrimEOL(what)))
	n := int(set.Len())
	if err != nil || !eol || n > p.exists {
		p.blind = true
		return
	}
	p.exists -= n
}

// isVanished reports whether an untagged response begins like VANISHED.
func isVanished(part []byte) bool {
	const begin = "* VANISHED "
	return len(part) > len(begin) && bytes.EqualFold(part[:len(begin)], []byte(begin))
}

// code takes note of a response code of SELECT or EXAMINE, "[UIDVALIDITY n]" and whatever follows.
func (p *place) code(text []byte) {
	code, _ := wire.SplitCode(string(wire.TrimEOL(text)))
	switch name, value, _ := strings.Cut(code, " "); strings.ToUpper(name) {
	case "UIDVALIDITY":
		if n, err := strconv.ParseUint(value, 10, 32); err == nil {
			p.uidValidity = uint32(n)
		}
	case "PERMANENTFLAGS":
		p.permanent = value
	}
}

// completed takes note of a command that has ended.
func (p *place) completed(c *inFlight, ok bool, _ []byte) {
	p.mods = p.mods || c.mods && ok
	p.stays = p.stays || c.stays && ok
	switch c.name {
	case "SELECT", "EXAMINE":
		p.selected, p.readOnly, p.mailbox, p.saved = ok && len(c.names) == 1, c.name == "EXAMINE", c.mailbox(0), false
		p.stays = p.stays || ok && len(c.names) != 1
	case "CLOSE", "UNSELECT":
		if ok {
			p.selected, p.saved = false, false
		}
	case "SEARCH", "UID SEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD":
		if c.saves { // RFC 5182, 2.1: one that fails leaves the empty result
			p.saved = ok
		}
	}
}

// observe looks for what a command asks that a session must take along.
func (c *inFlight) observe(part []byte, eol bool) {
	switch c.name {
	case "FETCH", "UID FETCH":
		upper := wire.Upper(part)
		c.marks = marksSeen(upper, eol)
		c.mods = mentions(upper, "MODSEQ", "CHANGEDSINCE")
	case "SELECT", "EXAMINE":
		c.mods = mentions(wire.Upper(part), "CONDSTORE", "QRESYNC")
	case "STORE", "UID STORE":
		c.mods = mentions(wire.Upper(part), "UNCHANGEDSINCE")
	case "STATUS", "LIST":
		c.mods = mentions(wire.Upper(part), "HIGHESTMODSEQ")
	case "SEARCH", "UID SEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD":
		upper := wire.Upper(part)
		c.mods = mentions(upper, "MODSEQ")
		c.numbers = !eol || countsMessages(upper)
		if mentions(upper, "RETURN") {
			c.saves = mentions(upper, "SAVE")
			c.stays = mentions(upper, "UPDATE", "CONTEXT") // RFC 5267
		}
	}
}

// takesNumber are the search keys whose argument begins with a digit and is no sequence number.
var takesNumber = map[string]bool{
	"UID": true, "LARGER": true, "SMALLER": true, "OLDER": true, "YOUNGER": true, "MODSEQ": true,
	"BEFORE": true, "ON": true, "SINCE": true, "SENTBEFORE": true, "SENTON": true, "SENTSINCE": true, "SAVEDBEFORE": true,
	"SAVEDON": true, "SAVEDSINCE": true, "CHARSET": true,
}

// countsMessages reports whether a search, in upper case, may name messages by sequence numbers: a word that begins like
// one stands behind no key that takes a number. Strings are not looked into; what seems to be one in them counts.
func countsMessages(upper []byte) bool {
	words := strings.FieldsFunc(string(upper), func(r rune) bool { return r <= ' ' || r == '(' || r == ')' })
	for i := 1; i < len(words); i++ { // behind the tag
		if c := words[i][0]; (c >= '0' && c <= '9' || c == '*' || c == '{') && !takesNumber[words[i-1]] {
			return true
		}
	}
	return false
}

// mentions reports whether any of words stands anywhere in a line, all in upper case. One in a string counts as well, which
// does no harm.
func mentions(upper []byte, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(upper, []byte(word)) })
}

// readers are the commands that change nothing that a server keeps, but for a FETCH that marks messages as seen. A
// switch does not wait for them.
var readers = map[string]bool{
	"FETCH": true, "UID FETCH": true, "SEARCH": true, "UID SEARCH": true, "SORT": true, "UID SORT": true,
	"THREAD": true, "UID THREAD": true, "LIST": true, "LSUB": true, "STATUS": true, "NOOP": true,
}

func (c *inFlight) reads() bool { return readers[c.name] && !c.marks && c.reply == "" }

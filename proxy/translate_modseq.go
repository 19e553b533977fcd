package proxy

import (
	"bytes"
	"strings"

	"imapferry/internal/wire"
)

// The target of translated users numbers changes in an order of its own, from a beginning of its own: asked what has
// changed since a mod-sequence of the source, it would leave changes out. So these users are promised neither CONDSTORE
// nor QRESYNC (RFC 7162), before the switch and after it, and the relay keeps both from clients who use them all the
// same, as a server that does not have them: ENABLE grants other extensions only, and commands with words of these
// are refused. The UIDVALIDITY within QRESYNC is never translated, because the mod-sequence behind it could not be.
//
// Where a mailbox is opened, clients hear NOMODSEQ in the place of HIGHESTMODSEQ. Those that kept a mod-sequence from
// the time before imapferry then look at all flags (RFC 7162, 3.1.2.2); to the others it is a code like any other.

// isModSeqWord reports whether w, a word of the command, asks for mod-sequences. Mailbox names, keywords and search
// strings that look the same are told apart by where they stand.
func (o *watched) isModSeqWord(w word) bool {
	switch o.name {
	case "SELECT", "EXAMINE":
		return w.depth == 1 && (w.is("CONDSTORE") || w.is("QRESYNC"))
	case "STATUS":
		return w.depth == 1 && w.is("HIGHESTMODSEQ")
	case "LIST": // RETURN (STATUS (…)), RFC 5819
		return w.depth == 2 && w.is("HIGHESTMODSEQ")
	case "FETCH", "UID FETCH":
		return w.depth <= 1 && w.is("MODSEQ") || w.depth == 1 && w.is("CHANGEDSINCE")
	case "STORE", "UID STORE": // the list behind the set; one of flags has FLAGS before it
		return w.depth == 1 && o.items == 1 && w.is("UNCHANGEDSINCE")
	case "SEARCH", "UID SEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD", "ESEARCH":
		return o.isSearchKey(w) && w.is("MODSEQ")
	}
	return false
}

// mayUseModSeq are the commands that isModSeqWord knows.
var mayUseModSeq = map[string]bool{
	"SELECT": true, "EXAMINE": true, "STATUS": true, "LIST": true, "FETCH": true, "UID FETCH": true, "STORE": true, "UID STORE": true,
	"SEARCH": true, "UID SEARCH": true, "SORT": true, "UID SORT": true, "THREAD": true, "UID THREAD": true, "ESEARCH": true,
}

// searchArguments tells how many strings follow a search key that could look like another key.
var searchArguments = map[string]int{
	"BCC": 1, "BODY": 1, "CC": 1, "FROM": 1, "SUBJECT": 1, "TEXT": 1, "TO": 1, "HEADER": 2, "KEYWORD": 1, "UNKEYWORD": 1,
	"CHARSET": 1, "FILTER": 1, "ANNOTATION": 3, "EMAILID": 1, "THREADID": 1, "X-GM-RAW": 1, "X-GM-LABELS": 1, "X-MAILBOX": 1,
}

// isSearchKey reports whether w is not an argument of the key before it.
func (o *watched) isSearchKey(w word) bool {
	switch {
	case w.kind == opens || w.kind == closes:
		o.arguments = 0
		return false
	case o.arguments > 0:
		o.arguments--
		return false
	}
	o.arguments = searchArguments[strings.ToUpper(w.text)]
	return w.kind == atom
}

// withoutModSeq takes the names of what is kept from the client out of an ENABLE, as if the backend did not know them
// (RFC 5161, 3.1). If it cannot, or if nothing is left, reply is what the client is answered instead.
func withoutModSeq(c *inFlight, line []byte, eol bool) (left []byte, reply string) {
	named := mentions(wire.Upper(line), "CONDSTORE", "QRESYNC")
	if _, _, literal := wire.ParseLiteral(line); literal || !eol || named && bytes.IndexByte(line, '"') >= 0 {
		return line, c.tag + " BAD ENABLE takes a line of names"
	}
	if !named {
		return line, ""
	}
	words := strings.Fields(string(line))
	kept := words[:0:0]
	for _, w := range words[2:] {
		if !strings.EqualFold(w, "CONDSTORE") && !strings.EqualFold(w, "QRESYNC") {
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		return line, "* ENABLED\r\n" + c.tag + " OK Nothing was enabled"
	}
	return []byte(c.tag + " ENABLE " + strings.Join(kept, " ") + "\r\n"), ""
}

// withoutHighest replaces a response code HIGHESTMODSEQ, which begins at line[open:], by NOMODSEQ.
func withoutHighest(line []byte, open int) []byte {
	end := bytes.IndexByte(line[open:], ']')
	if end < 0 {
		return line
	}
	out := append([]byte(nil), line[:open]...)
	return append(append(out, "[NOMODSEQ"...), line[open+end:]...)
}

package proxy

import (
	"slices"
	"strings"

	"imapferry/internal/wire"
)

// Bounds of what clients may have under way.
const (
	maxFlight = 1000 // commands in flight; beyond that nothing is read from the client until some complete
)

// ownTag stands in for a tag that cannot be sent on.
const ownTag = "imapferry"

// inFlight is one command in flight.
type inFlight struct {
	// Immutable once in the table.
	tag     string
	name    string // upper case; "UID COPY" for commands with UID
	marks   bool   // a FETCH that may set \Seen
	saves   bool   // a search whose result is kept (RFC 5182)
	mods    bool   // may turn mod-sequences on (RFC 7162, 3.1)
	numbers bool   // a search by UID whose criteria may hold sequence numbers
	stays   bool   // asks for something that does not go along to another server

	args  *arguments // owned by toBackend; nil if its mailbox names are of no interest
	watch *watched   // owned by toBackend; nil if its words are of no interest

	// Guarded by relay.mu once in the table.
	reply     string   // our answer in the place of the backend's; empty if the command passes
	wantsPlus bool     // stands at a literal, or is an IDLE, and no continuation request has come
	gotPlus   bool     // it has come
	ownPlus   bool     // the relay asked for it, not the client
	doneSent  bool     // the DONE of an IDLE is on its way
	over      bool     // completed
	forgave   bool     // what the client was owed was dropped, because c makes it count anew
	short     bool     // some of the messages that it names are gone, and the backend is not asked for them
	names     []string // mailbox names among the arguments
	resync    *resync  // what it asks of gaps; nil if nothing
}

// mailbox returns the i-th mailbox name among the arguments, or "".
func (c *inFlight) mailbox(i int) string {
	if i < len(c.names) {
		return c.names[i]
	}
	return ""
}

// refused are the commands that never reach the backend after the login. COMPRESS would hide the stream from the
// relay (RFC 4978), UNAUTHENTICATE lead out of the session (RFC 8437). The others are wrong in this state (RFC 9051,
// 6.2), and secrets or a handshake must not be taken for commands if the client does not wait for the answer.
var refused = map[string]string{
	"COMPRESS":       "NO [CANNOT] COMPRESS is not available here",
	"UNAUTHENTICATE": "BAD UNAUTHENTICATE is not available here",
	"STARTTLS":       "BAD Already logged in",
	"AUTHENTICATE":   "BAD Already logged in",
	"LOGIN":          "BAD Already logged in",
	"NOTIFY":         "BAD NOTIFY is not available here", // RFC 5465; not promised: what it asks for would not go along to another server
}

// parseCommand looks at the beginning of a command's first line. What has no tag or no name is refused here: servers answer it in
// ways that cannot be told from other responses.
func parseCommand(line []byte) *inFlight {
	tag, rest := wire.Tag(line)
	if !validTag(tag) {
		return &inFlight{tag: ownTag, reply: "* BAD Command without a valid tag"}
	}
	c := &inFlight{tag: string(tag)}
	word, rest := wire.Tag(rest)
	c.name = commandName(word)
	if c.name == "UID" {
		word, _ = wire.Tag(rest)
		c.name += " " + commandName(word)
	}
	if c.name == "IDLE" && len(rest) > 0 {
		c.name = "IDLE?" // a syntax error; no DONE follows
	}
	if c.name == "" {
		c.reply = c.tag + " BAD Command without a name"
	} else if answer, ok := refused[c.name]; ok {
		c.reply = c.tag + " " + answer
	}
	c.wantsPlus = c.name == "IDLE"
	return c
}

// commandName returns word in upper case if it can be the name of a command, cut to a bounded length.
func commandName(word []byte) string {
	return strings.ToUpper(string(word[:min(len(word), 32)]))
}

// flight is the table of commands in flight, in the order in which they were sent.
type flight []*inFlight

func (f *flight) add(c *inFlight) { *f = append(*f, c) }

// promising returns the command that a response code APPENDUID or COPYUID speaks of, whose first name is the mailbox.
// c is the one that the response completes, or nil.
func (f flight) promising(code string, c *inFlight) *inFlight {
	switch {
	case c != nil:
		return c
	case code == "COPYUID": // RFC 6851, 4.3: MOVE says it in an untagged OK
		return f.oldest("MOVE", "UID MOVE", "COPY", "UID COPY")
	}
	return f.oldest("APPEND", "REPLACE", "UID REPLACE") // RFC 8508, 3.4
}

// complete removes and returns the oldest command with tag, or returns nil. Tags may be used twice.
func (f *flight) complete(tag []byte) *inFlight {
	for i, c := range *f {
		if c.tag == string(tag) {
			*f = append((*f)[:i], (*f)[i+1:]...)
			c.over = true
			return c
		}
	}
	return nil
}

// plus gives a continuation request to the command that has waited for it longest, or returns nil.
func (f flight) plus() *inFlight {
	for _, c := range f {
		if c.wantsPlus {
			c.wantsPlus, c.gotPlus = false, true
			return c
		}
	}
	return nil
}

// oldest returns the oldest command with one of names, or nil.
func (f flight) oldest(names ...string) *inFlight {
	for _, c := range f {
		for _, n := range names {
			if c.name == n {
				return c
			}
		}
	}
	return nil
}

// settled reports whether c is an IDLE that runs until the client ends it.
func (c *inFlight) settled() bool { return c.name == "IDLE" && c.gotPlus && !c.doneSent }

// unsettled reports whether anything but a settled IDLE is in flight.
func (f flight) unsettled() bool {
	return slices.ContainsFunc(f, func(c *inFlight) bool { return !c.settled() })
}

// busy reports whether anything is in flight that may change the mailbox, or may yet have to be sent on.
func (f flight) busy() bool {
	return slices.ContainsFunc(f, func(c *inFlight) bool { return !c.settled() && !c.reads() })
}

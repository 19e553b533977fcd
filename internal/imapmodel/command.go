package imapmodel

import (
	"slices"
	"strings"
)

// command is one command with what its answers mean. Its functions are called with Account.mu held.
type command struct {
	name  string // as it is counted: UID FETCH
	parts []any  // strings, sent as they are, and literals
	tag   string
	stamp int64

	// serial commands use sequence numbers and let none be expunged: FETCH, STORE, SEARCH (RFC 9051, 7.5.1).
	serial  bool
	opening *view // of SELECT and EXAMINE

	send func() // just before it is sent
	// fetch sees each FETCH response, data each other one that somebody must have asked for; it reports whether this
	// command has.
	fetch func(m *message, items map[string]value) error
	data  func(r *response) (mine bool, err error)
	// ok and no see the tagged response; without a no, NO is a violation. lost is called instead if the session ended.
	ok   func(r *response) error
	no   func(r *response) error
	lost func()
}

// literal is a part of a command that goes as a literal.
type literal struct {
	text string
	sync bool // waits for the continuation request
}

// plain makes a command that has no more to it than its words.
func plain(name, rest string) *command {
	return &command{name: name, parts: []any{strings.TrimSpace(name + " " + rest)}}
}

// expungeAllowed reports whether sequence numbers may change now: some command is in flight, and none that uses them.
func expungeAllowed(inFlight []*command) bool {
	return len(inFlight) > 0 && !slices.ContainsFunc(inFlight, func(c *command) bool { return c.serial })
}

// quote makes a quoted string of a name, which has neither quotes nor line ends.
func quote(s string) string { return `"` + s + `"` }

// uintOf reads a number of a response, 0 if it is none.
func uintOf(v value) uint64 {
	var n uint64
	for _, c := range []byte(v.text) {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

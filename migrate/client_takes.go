package migrate

import (
	"strconv"
	"strings"
)

// appendsMany reports whether the server takes several messages by one APPEND (RFC 3502), without being asked before each.
func (c *client) appendsMany() bool { return c.caps.Has("MULTIAPPEND") && c.caps.Has("LITERAL+") }

// pipesAppends reports whether it takes at least small messages one behind the other, each by an APPEND of its own.
func (c *client) pipesAppends() bool {
	return !c.appendsMany() && (c.caps.Has("LITERAL+") || c.caps.Has("LITERAL-"))
}

// most returns the size up to which messages are sent without asking first: not near what the server takes at all (RFC 7889).
func (c *client) most() int64 {
	if limit := c.appendLimit(); limit > 0 {
		return min(aloneBytes, limit/10*9)
	}
	return aloneBytes
}

// appendLimit returns APPENDLIMIT, or 0 if the server tells none for all folders.
func (c *client) appendLimit() int64 {
	for _, cap := range c.caps {
		if arg, ok := strings.CutPrefix(cap, "APPENDLIMIT="); ok {
			n, _ := strconv.ParseInt(arg, 10, 64)
			return n
		}
	}
	return 0
}

// nonSync reports whether the server takes a literal of size bytes without being asked before (RFC 7888).
func (c *client) nonSync(size int64) bool {
	const shortLiteral = 4096
	return c.caps.Has("LITERAL+") || size <= shortLiteral && c.caps.Has("LITERAL-")
}

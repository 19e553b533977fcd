package migrate

import (
	"bytes"
	"io"
	"sync/atomic"

	"imapferry/internal/wire"
)

// The kinds of trouble. A connection is cut before an interaction, or in the middle of it; the server says nothing any
// more; it answers NO because it cannot just now, or for no reason that it names.
var troubles = []string{"cut", "half", "hang", "busy", "refuse"}

// trouble lets one of the interactions with its servers fail, the n-th. Interactions are commands, literals that come
// with them, and every line and literal of what is answered.
type trouble struct {
	n     int64
	kind  string
	count atomic.Int64
}

// strikes counts an interaction and returns the kind of trouble that befalls it, usually none.
func (t *trouble) strikes() string {
	if t == nil || t.count.Add(1) != t.n {
		return ""
	}
	return t.kind
}

// send says what is in c.w, and reports whether the connection goes on.
func (c *fakeConn) send(tag string) bool {
	said := bytes.Clone(c.w.Bytes())
	c.w.Reset()
	good, literal := 0, 0
	for good < len(said) {
		n := literal
		if literal = 0; n == 0 {
			n = bytes.IndexByte(said[good:], '\n') + 1
			if lit, _, ok := wire.ParseLiteral(said[good : good+n]); ok {
				literal = int(lit.Size)
			}
		}
		if n == 0 || n > len(said)-good { // a test has cut it short
			n = len(said) - good
		}
		if kind := c.f.trouble.strikes(); kind != "" {
			if kind == "half" {
				good += n / 2
			}
			_, _ = c.nc.Write(said[:good])
			return c.fail(kind, tag, said[:good])
		}
		good += n
	}
	_, err := c.nc.Write(said)
	return err == nil
}

// fail lets an interaction fail after said, and reports whether the connection goes on.
func (c *fakeConn) fail(kind, tag string, said []byte) bool {
	_, _, inLiteral := wire.ParseLiteral(said)
	switch {
	case kind == "hang":
		_, _ = io.Copy(io.Discard, c.r)
		return false
	case inLiteral || tag == "*" || kind == "cut" || kind == "half":
		return false
	}
	words := map[string]string{"busy": " NO [UNAVAILABLE] not now\r\n", "refuse": " NO out of cheese\r\n"}
	_, err := io.WriteString(c.nc, tag+words[kind])
	c.refused = true
	return err == nil
}

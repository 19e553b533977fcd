package migrate

import (
	"bytes"
	"fmt"
	"io"
	"strings"
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

// withholds lets a server with one connection answer so when it comes to give what of a message that is bad, after those before it.
func (f *fake) withholds(what, answer string, bad func(folder string, uid uint32) bool) {
	var selected atomic.Value
	f.do(func() {
		f.hook = func(verb, args string) (said string, ok bool) {
			if verb == "EXAMINE" {
				selected.Store(strings.Trim(args, `"`))
			}
			text, items, _ := strings.Cut(args, " ")
			if verb != "UID FETCH" || !strings.Contains(items, what) {
				return "", false
			}
			set, _ := wire.ParseSet(text)
			folder := selected.Load().(string)
			f.do(func() {
				ff := f.folders[folder]
				if ff == nil { // its name came as a literal
					return
				}
				for i, m := range ff.mail {
					if !set.Contains(m.uid) || ok {
						continue
					}
					if ok = bad(folder, m.uid); ok {
						said += strings.NewReplacer("%n", fmt.Sprint(i+1), "%u", fmt.Sprint(m.uid)).Replace(answer)
						continue
					}
					said += fmt.Sprintf("* %d FETCH (%s)\r\n", i+1, m.items(items))
				}
			})
			return said, ok
		}
	})
}

// withheld are ways in which a server does not give a body.
var withheld = map[string]string{
	"NO":  "%t NO [SERVERBUG] no such file\r\n",
	"bye": "* BYE [SERVERBUG] no such file\r\n",
	"cut": "* %n FETCH (UID %u FLAGS () INTERNALDATE \"" + fakeDate + "\" BODY[] {100}\r\nnot so much* BYE cut\r\n",
	"OK":  "%t OK done\r\n", // and leaves it out
	"NIL": "* %n FETCH (UID %u FLAGS () INTERNALDATE \"" + fakeDate + "\" BODY[] NIL)\r\n%t OK done\r\n",
}

package proxy

import (
	"bytes"
	"io"
	"maps"
	"strconv"
	"strings"

	"imapferry/internal/wire"
	"imapferry/state"
)

// translator tells a translated user's client the UIDVALIDITY that it knows: where the target says TargetUIDValidity for a folder, the
// client is told UIDValidity. Any other value passes, because it belongs to a folder that was made anew.
//
// It belongs to toClient, but for what it reads of commands, which relay.mu guards.
//
// A folder that this session renames keeps its entry under the new name, with all that is below it, whatever the hierarchy
// delimiter is. The old name keeps its entry too: if a folder is made there anew, its value is another one. A rename by
// another session is not seen: such a folder shows the target's value, and the client loads it anew.
type translator struct {
	folders  map[string]state.Folder // by canonical name
	selected string
}

func newTranslator(folders map[string]state.Folder) *translator {
	v := &translator{folders: make(map[string]state.Folder, len(folders))}
	for name, f := range folders {
		v.folders[wire.CanonicalName(name)] = f
	}
	return v
}

// seen returns what the client is told where the target says n for mailbox.
func (v *translator) seen(mailbox string, n uint32) uint32 {
	f, ok := v.folders[wire.CanonicalName(mailbox)]
	if ok && f.TargetUIDValidity == n && f.UIDValidity != 0 {
		return f.UIDValidity
	}
	return n
}

// subject returns the mailbox that a response code speaks of. c is the command that the response completes, or nil.
func (v *translator) subject(code string, c *inFlight, f flight) string {
	switch {
	case code == "UIDVALIDITY":
		if s := f.oldest("SELECT", "EXAMINE"); s != nil {
			return s.name1(0)
		}
		return v.selected
	case c == nil && code == "COPYUID": // RFC 6851, 4.3: MOVE says it in an untagged OK
		c = f.oldest("MOVE", "UID MOVE", "COPY", "UID COPY")
	case c == nil:
		c = f.oldest("APPEND")
	}
	if c == nil {
		return ""
	}
	return c.name1(0)
}

func (c *inFlight) name1(i int) string {
	if i < len(c.names) {
		return c.names[i]
	}
	return ""
}

// completed takes note of a command that succeeded.
func (v *translator) completed(c *inFlight) {
	switch c.name {
	case "SELECT", "EXAMINE":
		v.selected = c.name1(0)
	case "CLOSE", "UNSELECT":
		v.selected = ""
	case "RENAME":
		if len(c.names) == 2 {
			v.rename(c.names[0], c.names[1])
		}
	}
}

func (v *translator) rename(from, to string) {
	if from = wire.CanonicalName(from); from == wire.Inbox {
		return // RFC 9051, 6.3.6: moves the messages; INBOX stays what it is
	}
	renamed := map[string]state.Folder{}
	for name, f := range v.folders {
		rest, below := strings.CutPrefix(name, from)
		if below && (rest == "" || strings.IndexByte("/.\\", rest[0]) >= 0) {
			renamed[wire.CanonicalName(to+rest)] = f
		}
	}
	maps.Copy(v.folders, renamed)
}

// rewrite replaces the number at line[at:] by what the client is told for mailbox. ok is false if nothing changes.
func (v *translator) rewrite(line []byte, at int, mailbox string) (out []byte, ok bool) {
	end := at
	for end < len(line) && line[end] >= '0' && line[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(string(line[min(at, end):end]), 10, 32)
	if err != nil {
		return nil, false
	}
	told := v.seen(mailbox, uint32(n))
	if told == uint32(n) {
		return nil, false
	}
	out = append(out, line[:at]...)
	out = strconv.AppendUint(out, uint64(told), 10)
	return append(out, line[end:]...), true
}

// status rewrites a whole STATUS response.
func (v *translator) status(resp []byte) []byte {
	d := wire.NewDecoder(wire.NewReader(bytes.NewReader(resp), len(resp)+1), wire.Limits{Line: maxGather, Literal: maxGather, Total: 2 * maxGather})
	if d.Next() != nil {
		return resp
	}
	d.Atom()
	d.SP()
	d.Atom()
	d.SP()
	mailbox := d.AString()
	d.SP()
	if d.Err() != nil || d.Peek() != '(' {
		return resp
	}
	at := len(resp) - len(wire.TrimEOL(d.Rest())) - lineEnd(resp)
	if i := indexWord(resp[at:], "UIDVALIDITY"); i >= 0 {
		if out, ok := v.rewrite(resp, at+i+len("UIDVALIDITY "), mailbox); ok {
			return out
		}
	}
	return resp
}

// lineEnd returns the length of resp's line end.
func lineEnd(resp []byte) int { return len(resp) - len(wire.TrimEOL(resp)) }

// indexWord returns where the word stands in a list of items, or -1.
func indexWord(list []byte, word string) int {
	upper := bytes.ToUpper(list)
	for _, before := range []string{"(", " "} {
		if i := bytes.Index(upper, []byte(before+word+" ")); i >= 0 {
			return i + 1
		}
	}
	return -1
}

// mailboxStatus passes on a STATUS response, of whose first line part is at hand. Its name may be a literal. One over
// maxGather passes as it is: no name is that long.
func (r *relay) mailboxStatus(part []byte, eol bool) (err error) {
	var resp []byte
	for {
		resp = append(resp, part...)
		lit, _, announced := wire.ParseLiteral(part)
		announced = announced && eol
		if len(resp) > maxGather || announced && lit.Size > maxGather-int64(len(resp)) {
			if err := r.down.write(resp); err != nil {
				return err
			}
			return r.rest(part, eol, judgement{literals: true})
		}
		if eol && !announced {
			return r.down.write(r.views.status(resp))
		}
		if eol {
			body := make([]byte, lit.Size)
			if _, err := io.ReadFull(r.backend.r.Literal(lit.Size), body); err != nil && lit.Size > 0 {
				return cutShort(err)
			}
			resp = append(resp, body...)
		}
		if part, eol, err = r.backend.r.Part(); err != nil {
			return cutShort(err)
		}
	}
}

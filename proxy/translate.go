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

// translator is what the relay knows of the user's folders at the target and the target does not tell.
//
// It tells a translated user's client the UIDVALIDITY that it knows: where the target says TargetUIDValidity for a
// folder, the client is told UIDValidity. Any other value passes, because it belongs to a folder that was made anew. To
// an exact user's client it tells of gaps.
//
// It belongs to toClient, but for what it reads of commands, which relay.mu guards.
//
// A folder that this session renames keeps its entry under the new name, with all that is below it, whatever the hierarchy
// delimiter is. The old name keeps its entry too: if a folder is made there anew, its value is another one. A rename by
// another session is not seen: such a folder shows the target's value, and the client loads it anew.
type translator struct {
	folders  map[string]state.Folder // by canonical name
	gaps     bool                    // some have any
	selected string
	validity uint32 // of what is selected, as the client was told it
	opening  uint32 // the last one that was told; of what the SELECT under way opens
	utf8     bool   // names are UTF-8 (RFC 9755), not modified UTF-7
}

func newTranslator(folders map[string]state.Folder) *translator {
	v := &translator{folders: make(map[string]state.Folder, len(folders))}
	for name, f := range folders {
		v.folders[wire.CanonicalName(name)] = f
		v.gaps = v.gaps || len(f.Skipped) > 0
	}
	return v
}

// views returns the relay's table of folders, which only translated users need, and exact users whose folders have gaps.
func views(fidelity state.Fidelity, folders []state.Folder) map[string]state.Folder {
	switch fidelity {
	case state.Translated:
		m := make(map[string]state.Folder, len(folders))
		for _, f := range folders {
			f.Engine = nil // sessions keep the table
			m[f.AtTarget()] = f
		}
		return m
	case state.Exact:
		var m map[string]state.Folder
		for _, f := range folders {
			if len(f.Skipped) == 0 {
				continue
			}
			if m == nil {
				m = map[string]state.Folder{}
			}
			f.TargetUIDValidity, f.Engine = f.UIDValidity, nil // nothing is translated
			m[f.AtTarget()] = f
		}
		return m
	}
	return nil
}

// canonical returns the name under which a mailbox is in the table, however the session spells it.
func (v *translator) canonical(mailbox string) string {
	if v.utf8 {
		mailbox = wire.EncodeName(mailbox)
	}
	return wire.CanonicalName(mailbox)
}

// seen returns what the client is told where the target says n for mailbox.
func (v *translator) seen(mailbox string, n uint32) uint32 {
	return sourceValidity(v.folders[v.canonical(mailbox)], n)
}

// subject returns the mailbox that a response code speaks of. c is the command that the response completes, or nil.
func (v *translator) subject(code string, c *inFlight, f flight) string {
	if code == "UIDVALIDITY" {
		if s := f.oldest("SELECT", "EXAMINE"); s != nil {
			return s.mailbox(0)
		}
		return v.selected
	}
	if c = f.promising(code, c); c == nil {
		return ""
	}
	return c.mailbox(0)
}

// completed takes note of a command that has ended.
func (v *translator) completed(c *inFlight, ok bool) {
	switch c.name {
	case "SELECT", "EXAMINE":
		v.selected, v.validity = "", 0
		if ok {
			v.selected, v.validity = c.mailbox(0), v.opening
		}
		v.opening = 0
	case "CLOSE", "UNSELECT":
		if ok {
			v.selected, v.validity = "", 0
		}
	case "RENAME":
		if ok && len(c.names) == 2 {
			v.rename(v.canonical(c.names[0]), v.canonical(c.names[1]))
		}
	}
}

// enabled takes note of the words of an ENABLED response.
func (v *translator) enabled(words []byte) {
	v.utf8 = v.utf8 || mentions(wire.Upper(words), "UTF8=ACCEPT")
}

func (v *translator) rename(from, to string) {
	if from == wire.Inbox {
		return // RFC 9051, 6.3.6: moves the messages; INBOX stays what it is
	}
	renamed := map[string]state.Folder{}
	for name, f := range v.folders {
		if rest, ok := within(name, from); ok {
			renamed[wire.CanonicalName(to+rest)] = f
		}
	}
	maps.Copy(v.folders, renamed)
}

// within reports whether name is folder or below it, and returns what follows folder in it. Any character that
// servers use may be the delimiter: sessions do not ask.
func within(name, folder string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, folder)
	return rest, ok && (rest == "" || strings.IndexByte(`/.\`, rest[0]) >= 0)
}

// rewrite replaces the number at line[at:] by what the client is told for mailbox. ok is false if nothing changes.
func (v *translator) rewrite(line []byte, at int, mailbox string) (out []byte, seen uint32, ok bool) {
	end := at
	for end < len(line) && line[end] >= '0' && line[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(string(line[min(at, end):end]), 10, 32)
	if err != nil {
		return nil, 0, false
	}
	if seen = v.seen(mailbox, uint32(n)); seen == uint32(n) {
		return nil, seen, false
	}
	out = append(out, line[:at]...)
	out = strconv.AppendUint(out, uint64(seen), 10)
	return append(out, line[end:]...), seen, true
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
		if out, _, ok := v.rewrite(resp, at+i+len("UIDVALIDITY "), mailbox); ok {
			return out
		}
	}
	return resp
}

// lineEnd returns the length of resp's line end.
func lineEnd(resp []byte) int { return len(resp) - len(wire.TrimEOL(resp)) }

// indexWord returns where the word stands in a list of items, or -1.
func indexWord(list []byte, word string) int {
	upper := wire.Upper(list)
	for _, before := range []string{"(", " "} {
		if i := bytes.Index(upper, []byte(before+word+" ")); i >= 0 {
			return i + 1
		}
	}
	return -1
}

// wholeResponse passes on a response, of whose first line part is at hand, as rewrite makes it. A name in it may be a
// literal. One over maxGather passes as it is: no name is that long.
func (r *relay) wholeResponse(part []byte, eol bool, rewrite func([]byte) []byte) (err error) {
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
			return r.down.write(rewrite(resp))
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

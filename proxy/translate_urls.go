package proxy

import (
	"bytes"
	"net/url"
	"strconv"
	"strings"

	"imapferry/internal/wire"
	"imapferry/state"
)

// IMAP URLs (RFC 5092) may carry the UIDVALIDITY of their mailbox: "/Drafts;UIDVALIDITY=385/;UID=20". Nobody is
// promised an extension that uses them, but servers have them all the same. Those of CATENATE (RFC 4469) and URLFETCH
// (RFC 4467) are translated, and those in what the server answers. GENURLAUTH is refused to translated users: what it
// makes is signed, and meant for somebody else, who need not come through here.

// mayHaveURLs reports whether the command name may have URLs.
func mayHaveURLs(name string) bool { return name == "APPEND" || name == "URLFETCH" }

// urlWord looks at a word of a command that may have URLs, and returns why the command is refused: a literal's length
// has been sent before the URL in it can be translated.
func (o *watched) urlWord(w word) (refused string) {
	if o.name == "APPEND" && w.depth == 0 && o.items > 0 && w.is("CATENATE") {
		o.hasURLs = true
	}
	if w.kind == literal && (o.name == "URLFETCH" || o.hasURLs && o.last.is("URL")) {
		return "BAD a URL must not be a literal here"
	}
	return ""
}

// urlsToBackend translates the URLs in a line of the client's.
func (r *relay) urlsToBackend(line []byte) []byte {
	r.mu.Lock() // toClient may rename folders
	defer r.mu.Unlock()
	return r.views.urls(line, targetValidity)
}

// urlsToClient translates the URLs in a line of the target's.
func (v *translator) urlsToClient(line []byte) []byte { return v.urls(line, sourceValidity) }

// sourceValidity is what the client is told where the target says n for f.
func sourceValidity(f state.Folder, n uint32) uint32 {
	if f.TargetUIDValidity == n && f.UIDValidity != 0 {
		return f.UIDValidity
	}
	return n
}

// targetValidity is what the target knows where the client says n for f. Any other number than the client was told passes: it is
// of a folder that was there before.
func targetValidity(f state.Folder, n uint32) uint32 {
	if f.UIDValidity == n && f.TargetUIDValidity != 0 {
		return f.TargetUIDValidity
	}
	return n
}

// urls replaces the UIDVALIDITY of all URLs in line.
func (v *translator) urls(line []byte, other func(state.Folder, uint32) uint32) []byte {
	const mark = ";UIDVALIDITY="
	var out []byte
	from := 0
	for at := 0; ; {
		next := bytes.IndexByte(line[at:], ';')
		if next < 0 {
			break
		}
		begin := at + next
		if at = begin + 1; len(line)-begin < len(mark) || !bytes.EqualFold(line[begin:begin+len(mark)], []byte(mark)) {
			continue
		}
		first := begin + len(mark)
		end := first
		for end < len(line) && line[end] >= '0' && line[end] <= '9' {
			end++
		}
		n, err := strconv.ParseUint(string(line[first:end]), 10, 32)
		name, ok := mailboxOfURL(string(line[bytes.LastIndexAny(line[:begin], ` "(`)+1 : begin]))
		if err != nil || !ok {
			continue
		}
		out = append(out, line[from:first]...)
		out = strconv.AppendUint(out, uint64(other(v.folders[wire.CanonicalName(name)], uint32(n))), 10)
		from, at = end, end
	}
	return append(out, line[from:]...)
}

// mailboxOfURL returns the raw name of the mailbox in what stands before the UIDVALIDITY of a URL. A URL without a
// leading slash has none.
func mailboxOfURL(before string) (name string, ok bool) {
	scheme, rest, absolute := strings.Cut(before, "://")
	if absolute && (wire.EqualFold(scheme, "imap") || wire.EqualFold(scheme, "imaps")) {
		_, before, ok = strings.Cut(rest, "/")
	} else {
		before, ok = strings.CutPrefix(before, "/")
	}
	if !ok {
		return "", false
	}
	name, err := url.PathUnescape(before)
	return wire.EncodeName(name), err == nil
}

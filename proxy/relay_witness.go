package proxy

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

// witness notes what the commands of one session change at the source, and which UIDs the client is told are stored.
// It looks only at what passes anyway, at the moment when a command completes or the session ends, and before the
// relay counts as quiet: so the acknowledgement of a hold knows all of it. It is guarded by relay.mu.
//
// A command that failed may have changed something all the same; what is noted needlessly costs the worker a look.
type witness struct {
	note     func(change func(touched))
	selected string // what is selected for writing
	writable bool   // something is
	utf8     bool   // names are UTF-8 (RFC 9755), not modified UTF-7
}

// completed notes a command whose last response, line, is at hand.
func (w *witness) completed(c *inFlight, ok bool, line []byte) {
	switch c.name {
	case "SELECT", "EXAMINE":
		w.selected, w.writable = w.folder(c, 0), ok && c.name == "SELECT"
		return
	case "UNSELECT":
		w.writable = false
		return
	}
	effect := effects[c.name]
	if effect == nothing || effect == onSelected && !w.writable || c.reply != "" || isFetch(c.name) && !c.marks {
		return
	}
	w.note(func(t touched) {
		if effect != onNamed && w.writable {
			t.change(w.selected)
		}
		switch {
		case effect == onSelected:
		case len(c.names) == 0 && ok:
			t.change("") // a name that nobody could read
		case c.name == "DELETE" && ok:
			t.remove(w.folder(c, 0))
		case c.name == "RENAME" && ok:
			t.rename(w.folder(c, 0), w.folder(c, 1))
		default:
			for i := range c.names {
				if f := w.folder(c, i); f != "" || ok { // a folder without a name is refused, and no reason to look at all of them
					t.change(f)
				}
			}
		}
	})
	if ok {
		w.promised(c, line)
	}
	if c.name == "CLOSE" {
		w.writable = false
	}
}

// abandoned notes a command that nobody will hear the end of. It may yet have its effect, or have had it.
func (w *witness) abandoned(c *inFlight) {
	w.completed(c, c.name == "SELECT" || c.name == "EXAMINE", nil)
}

// promised notes the UIDs in the response code of line, which speaks of the command c.
func (w *witness) promised(c *inFlight, line []byte) {
	if uidValidity, uid := promiseIn(line); uid != 0 {
		w.note(func(t touched) { t.promise(w.folder(c, 0), uidValidity, uid) })
	}
}

// enabled takes note of the words of an ENABLED response.
func (w *witness) enabled(words []byte) {
	w.utf8 = w.utf8 || mentions(wire.Upper(words), "UTF8=ACCEPT")
}

// folder returns the i-th mailbox that c names, as the worker's connections name it.
func (w *witness) folder(c *inFlight, i int) string {
	if w.utf8 {
		return wire.EncodeName(c.mailbox(i))
	}
	return c.mailbox(i)
}

// effect says which folders a command changes.
type effect int

const (
	nothing effect = iota
	onNamed
	onSelected
	onBoth
)

var effects = map[string]effect{
	"APPEND": onNamed, "COPY": onNamed, "UID COPY": onNamed,
	"CREATE": onNamed, "DELETE": onNamed, "RENAME": onNamed, "SUBSCRIBE": onNamed, "UNSUBSCRIBE": onNamed,
	"MOVE": onBoth, "UID MOVE": onBoth, "REPLACE": onBoth, "UID REPLACE": onBoth,
	"STORE": onSelected, "UID STORE": onSelected, "EXPUNGE": onSelected, "UID EXPUNGE": onSelected, "CLOSE": onSelected,
	"FETCH": onSelected, "UID FETCH": onSelected, // those that mark messages as \Seen
}

func isFetch(name string) bool { return name == "FETCH" || name == "UID FETCH" }

// marksSeen reports whether a FETCH whose first line begins with upper, in upper case, may set \Seen, as asking for bodies
// without PEEK does (RFC 9051, 6.4.5).
func marksSeen(upper []byte, eol bool) bool {
	if _, _, literal := wire.ParseLiteral(upper); literal || !eol {
		return true
	}
	count := func(item string) int { return bytes.Count(upper, []byte(item)) }
	return count("BODY[")+count("BINARY[")+count("RFC822") > count("RFC822.SIZE")+count("RFC822.HEADER")
}

// isPromise reports whether a response tells the client which UIDs messages were stored under (RFC 4315).
func isPromise(line []byte) bool {
	_, rest := wire.Tag(line[:min(len(line), maxTag+32)])
	word, code := wire.Tag(rest)
	name, _ := wire.Tag(code)
	return wire.EqualFold(string(word), "OK") && (wire.EqualFold(string(name), "[APPENDUID") || wire.EqualFold(string(name), "[COPYUID"))
}

// promiseIn returns the highest UID that a response promises, and its UIDVALIDITY; 0 if it promises none. A code that
// was too long to be gathered promises the highest there is: nobody can tell that the source shows it.
func promiseIn(line []byte) (uidValidity, uid uint32) {
	if !isPromise(line) {
		return 0, 0
	}
	text := line[bytes.IndexByte(line, '['):]
	code, _ := wire.SplitCode(string(text))
	words := strings.Fields(code)
	if code == "" {
		words = strings.Fields(string(text[:min(len(text), 64)]))
		words = append(words[:min(len(words), 2)], strconv.Itoa(math.MaxUint32))
	}
	if len(words) < 3 {
		return 0, 0
	}
	validity, err := strconv.ParseUint(words[1], 10, 32)
	set, setErr := wire.ParseSet(words[len(words)-1])
	if err != nil || setErr != nil {
		return 0, 0
	}
	return uint32(validity), set.Max()
}

// promised notes the UIDs that an untagged response promises ahead of the end of its command.
func (r *relay) promised(code string, line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.flight.promising(code, nil); c != nil {
		r.witness.promised(c, line)
	}
}

// gather completes a line that must be seen whole, up to maxGather bytes, of which part is at hand: of a promise the
// highest UID stands at its end, and of VANISHED all UIDs count.
func (r *relay) gather(part []byte, eol bool) ([]byte, bool, error) {
	if eol || r.witness == nil || !isPromise(part) && !isVanished(part) {
		return part, eol, nil
	}
	line := bytes.Clone(part)
	for !eol && len(line) < maxGather {
		var err error
		if part, eol, err = r.backend.r.Part(); err != nil {
			return nil, false, cutShort(err)
		}
		line = append(line, part...)
	}
	return line, eol, nil
}

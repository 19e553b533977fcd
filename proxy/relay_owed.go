package proxy

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

// owed is what a moved client has still to be told of its mailbox. Nothing is told while no command is under way, nor
// ahead of a continuation request, although news may be at any time: some clients take the first line that comes for
// the answer to theirs. Until a client has heard of removals it counts messages that the backend does not count any
// more, so numbers are translated in both directions.
type owed struct {
	news  []byte  // may be told inside any command; counts as the client does before it hears of removals
	gone  numbers // removals, which may not be told inside some commands
	lines []byte  // that tell them
}

// numbers are messages by the client's sequence numbers, in order.
type numbers []uint32

// atClient returns the client's number of the message that the backend counts as n.
func (gone numbers) atClient(n uint32) uint32 {
	for _, g := range gone {
		if g > n {
			break
		}
		n++
	}
	return n
}

// before returns how many of gone are numbered below n.
func (gone numbers) before(n uint32) uint32 {
	at, _ := slices.BinarySearch(gone, n)
	return uint32(at)
}

// atBackend returns the backend's numbers of the messages from:to of the client that are not gone; ok is false if none is left.
func (gone numbers) atBackend(r wire.Range) (at wire.Range, ok bool) {
	from, to := r.From-gone.before(r.From), r.To-gone.before(r.To)
	if _, last := slices.BinarySearch(gone, r.To); last {
		to--
	}
	return wire.Range{From: from, To: to}, from <= to && from > 0
}

// told takes note that the client has been told of the removal of another message, its n-th.
func (gone numbers) told(n uint32) {
	for i, g := range gone {
		if g > n {
			gone[i]--
		}
	}
}

// lines tells the removals from the last to the first, so that no number changes by the ones before.
func (gone numbers) lines() (lines []byte) {
	for _, n := range slices.Backward(gone) {
		lines = fmt.Appendf(lines, "* %d EXPUNGE\r\n", n)
	}
	return lines
}

// expunged says why a session ends that cannot be told what it is owed.
const expunged = "[UNAVAILABLE] messages were removed while your mailbox moved, please reconnect"

// byNumber are the commands that begin with a set of sequence numbers. While one is under way no removal is told: inside
// some of them it is forbidden (RFC 9051, 7.5.1), and it would change what the numbers of the others mean.
var byNumber = map[string]bool{"FETCH": true, "STORE": true, "COPY": true, "MOVE": true}

// forgetful are the commands after which the client counts anew.
var forgetful = map[string]bool{"SELECT": true, "EXAMINE": true, "CLOSE": true, "UNSELECT": true, "LOGOUT": true}

// inOwnNumbers sees to it that c, which begins with part, means to the backend what it means to the client, and returns
// the part to send: with other sequence numbers if the client counts messages that are gone. Where they cannot be found
// the session ends, because c would hit other messages. The caller holds mu.
func (r *relay) inOwnNumbers(c *inFlight, part []byte) ([]byte, error) {
	switch {
	case !r.owes.Load() || c.reply != "":
		return part, nil
	case forgetful[c.name]:
		c.forgave = true
		r.paid()
		return part, nil
	case len(r.owed.gone) == 0 || numberless(c.name) && !c.numbers:
		return r.aloud(c, part), nil
	case byNumber[c.name]:
		if translated, ok := r.owed.gone.translate(c, part); ok {
			return r.aloud(c, translated), nil
		}
	}
	told := r.leaving.over()
	r.endNow(endedByUs, expunged)
	told(atExpunged)
	return nil, errOver
}

// aloud takes .SILENT out of a STORE while there is news: that tells flags from before the STORE, and nobody would tell
// those after it.
func (r *relay) aloud(c *inFlight, part []byte) []byte {
	const silent = ".SILENT"
	if len(r.owed.news) == 0 || c.name != "STORE" && c.name != "UID STORE" {
		return part
	}
	at := bytes.Index(wire.Upper(part), []byte("FLAGS"+silent))
	if at < 0 {
		return part
	}
	at += len("FLAGS")
	return append(part[:at:at], part[at+len(silent):]...)
}

// forgetsEarly reports whether c makes the client count anew while answers are under way that it counts in the old way: c waits
// for them, so that their numbers are still translated. The caller holds mu.
func (r *relay) forgetsEarly(c *inFlight) bool {
	return r.owes.Load() && forgetful[c.name] && len(r.flight) > 0
}

// numberless reports whether name is a command of which it is certain that it holds no sequence numbers. A search by
// UID may; that is looked at by itself.
func numberless(name string) bool {
	if _, named := effects[name]; named {
		return !byNumber[name] && name != "REPLACE"
	}
	return name == "IDLE" || name == "CHECK" || name == "NOOP" || name == "LIST" || name == "LSUB" || name == "STATUS" ||
		name == "CAPABILITY" || name == "ID" || name == "NAMESPACE" || strings.HasPrefix(name, "UID ")
}

// due returns what the client may be told now: ahead of a response, or, if plus is set, behind a continuation request.
func (r *relay) due(plus bool) (lines []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if plus && r.flight.unsettled() { // it asks for a literal; that of an IDLE may be all that comes for long
		return nil
	}
	lines, r.owed.news = r.owed.news, nil
	inNumbers := func(c *inFlight) bool { return byNumber[c.name] }
	if len(r.flight) > 0 && !slices.ContainsFunc(r.flight, inNumbers) {
		lines = append(lines, r.owed.lines...)
		r.paid()
	}
	return lines
}

// paid is called when nothing is owed any more: only then has the session moved. The caller holds mu.
func (r *relay) paid() {
	r.owed = owed{}
	r.owes.Store(false)
	r.leaving.over()("")
}

// translate returns part with the backend's numbers in the place of the client's. Of messages that are gone nothing is
// asked, which issued tells; if no other is left, c gets its answer here. ok is false if the set does not stand whole in part.
func (gone numbers) translate(c *inFlight, part []byte) (out []byte, ok bool) {
	text := string(part)
	at := len(c.tag) + 1 + len(c.name) + 1
	end := at + strings.IndexByte(text[min(at, len(text)):]+" ", ' ')
	if end >= len(text) {
		return nil, false
	}
	words := text[at:end]
	if words == "$" || words == "1:*" && c.name == "FETCH" {
		return part, true
	}
	set, err := wire.ParseSet(words)
	if err != nil { // a * may be one that is gone
		return nil, false
	}
	var asked wire.Set
	for _, r := range set {
		if b, ok := gone.atBackend(r); ok {
			asked.AddRange(b.From, b.To)
		}
	}
	c.short = asked.Len() < set.Len()
	if asked.Len() == 0 {
		c.reply = c.tag + " NO [EXPUNGEISSUED] these messages have been removed"
		return part, true
	}
	return []byte(text[:at] + asked.String() + text[end:]), true
}

// issued puts into the OK of a command some of whose messages are gone why there is nothing of them (RFC 5530), if it has no code.
func issued(part []byte) []byte {
	_, rest := wire.Tag(part)
	_, text := wire.Tag(rest)
	if bytes.HasPrefix(text, []byte("[")) {
		return nil
	}
	at := len(wire.TrimEOL(part)) - len(text)
	return slices.Concat(part[:at], []byte("[EXPUNGEISSUED] "), part[at:])
}

// recount returns an untagged response with its number translated for a client that is owed removals. ok is false if it
// has none that matters. toClient calls it.
func (r *relay) recount(part, rest []byte) (out []byte, ok bool) {
	digits, what := wire.Tag(rest)
	number, err := strconv.ParseUint(string(digits), 10, 32)
	if err != nil {
		return nil, false
	}
	n := uint32(number)
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := r.owed.gone
	if len(gone) == 0 {
		return nil, false
	}
	switch firstWord(what) {
	case "EXISTS":
		n += uint32(len(gone))
	case "FETCH":
		n = gone.atClient(n)
	case "EXPUNGE":
		n = gone.atClient(n)
		gone.told(n)
		r.owed.lines = gone.lines()
	default:
		return nil, false
	}
	return append(fmt.Appendf(nil, "* %d", n), part[len("* ")+len(digits):]...), true
}

package proxy

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"imapferry/internal/wire"
	"imapferry/state"
)

// A client of an exact user that resynchronises by QRESYNC (RFC 7162) believes that a message of which the server does
// not say VANISHED is still there. Where the worker has filled the gaps between UIDs, the target has seen all that is
// missing vanish, and says so. Of gaps that were too long to fill it knows nothing, so the relay says it, to a client
// whose mod-sequence is from before the switch. There are no such messages and never will be: to say it once too often
// does no harm.

// modSeqLead is how far above the source's mod-sequences those of the target begin: below it, what a client remembers
// is the source's.
const modSeqLead = 1 << 32

// resync is what a command asks of messages that have vanished: SELECT and EXAMINE by QRESYNC (3.2.5), UID FETCH by
// VANISHED (3.2.6).
type resync struct {
	// Owned by toBackend, until the command is whole.
	follows string // what the next word belongs to

	uidValidity uint32 // 0 for UID FETCH
	modSeq      uint64
	uids        string // those asked for; empty for all
	vanished    bool   // the command does ask

	told bool // guarded by relay.mu
}

// asksOfGaps reports whether the command name may have a resync.
func asksOfGaps(name string) bool {
	return name == "SELECT" || name == "EXAMINE" || name == "UID FETCH"
}

// word takes the next word of the command o.
func (q *resync) word(o *watched, w word) {
	if w.kind != atom {
		return
	}
	follows := q.follows
	q.follows = ""
	switch {
	case o.name == "UID FETCH" && w.depth == 0 && o.items == 0:
		q.uids = uidsIn(w)
	case o.name == "UID FETCH" && w.depth == 1 && w.is("CHANGEDSINCE"):
		q.follows = "since"
	case follows == "since":
		q.modSeq, _ = strconv.ParseUint(w.text, 10, 64)
	case o.name == "UID FETCH":
		q.vanished = q.vanished || w.depth == 1 && w.is("VANISHED")
	case w.depth == 1 && w.is("QRESYNC"):
		q.follows = "validity"
	case w.depth != 2:
	case follows == "validity":
		n, _ := strconv.ParseUint(w.text, 10, 32)
		q.uidValidity, q.follows = uint32(n), "modseq"
	case follows == "modseq":
		q.modSeq, _ = strconv.ParseUint(w.text, 10, 64)
		q.vanished, q.follows = true, "uids"
	case follows == "uids":
		q.uids = uidsIn(w)
	}
}

// uidsIn returns the set w, or all if it is too long to have been kept whole.
func uidsIn(w word) string {
	if len(w.text) < maxWord {
		return w.text
	}
	return ""
}

// asked is called before the last line of c is sent on.
func (r *relay) asked(c *inFlight, o *watched) {
	if o == nil || o.resync == nil || !o.resync.vanished {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.resync = o.resync
}

// vanishedBefore returns what the client must be told of gaps before an untagged response: VANISHED (EARLIER) comes
// ahead of all FETCH, lest numbers of messages be taken for other ones.
func (r *relay) vanishedBefore(word string, rest []byte) []byte {
	if word == "" {
		_, what := wire.Tag(rest)
		word = firstWord(what)
	}
	if word != "FETCH" && word != "VANISHED" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.flight) == 0 {
		return nil
	}
	return r.views.vanished(r.flight[0], r.views.opening)
}

// vanished returns what c asks of gaps, once. opening is the UIDVALIDITY of what c opens, if it opens a mailbox.
func (v *translator) vanished(c *inFlight, opening uint32) []byte {
	q := c.resync
	if q == nil || q.told {
		return nil
	}
	mailbox, validity := v.selected, v.validity
	if c.name != "UID FETCH" {
		mailbox, validity = c.mailbox(0), opening
	}
	f := v.folders[v.canonical(mailbox)]
	if validity == 0 || f.UIDValidity != validity || c.name != "UID FETCH" && q.uidValidity != validity {
		return nil // not opened yet, or the client knows another folder
	}
	q.told = true
	if f.HighestModSeq == 0 || q.modSeq >= f.HighestModSeq+modSeqLead {
		return nil
	}
	if set := common(f.Skipped, q.uids); len(set) > 0 {
		return fmt.Appendf(nil, "* VANISHED (EARLIER) %s\r\n", set)
	}
	return nil
}

// common returns what gaps and uids have in common; empty uids stand for all, and "*" for a number above all gaps.
func common(gaps []state.Gap, uids string) (set wire.Set) {
	asked := wire.Set{{From: 1, To: math.MaxUint32}}
	if uids != "" {
		var err error
		if asked, err = wire.ParseSet(strings.ReplaceAll(uids, "*", "4294967295")); err != nil {
			return nil
		}
	}
	for len(gaps) > 0 && len(asked) > 0 {
		g, a := gaps[0], asked[0]
		if from, to := max(g.From, a.From), min(g.To, a.To); from <= to {
			set.AddRange(from, to)
		}
		if g.To < a.To {
			gaps = gaps[1:]
		} else {
			asked = asked[1:]
		}
	}
	return set
}

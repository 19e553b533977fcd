package proxy

import (
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

// Bounds of what is kept of a server's words. A session that would need more is not moved.
const (
	maxView   = 4 << 20  // messages of a mailbox
	maxNews   = 1 << 18  // removals and flags told beside a listing
	maxSpelt  = 16 << 20 // bytes of all different sets of flags, with setCost for each
	setCost   = 64
	maxRanges = 64 << 10 // ranges of removed UIDs
)

// newsOf gathers what a server tells while it is asked for the view of a mailbox.
type newsOf struct {
	counted int  // messages at the beginning
	exists  int  // messages by now
	removed int  // messages by EXPUNGE
	grown   bool // there were new messages

	events []event         // in order
	gone   wire.Set        // by VANISHED
	again  map[uint32]bool // UIDs whose flags were told beside the listing
	search wire.Set

	uidValidity      uint32
	flags, permanent string // which flags the mailbox has, and which can be kept, "(…)"

	list  []message // in order
	holes bool      // messages were left out of it
	sets  map[string]*flagSet
	spelt int // bytes in sets
}

// event is an EXPUNGE, or a FETCH that tells flags without the UID. Its number is the message's at that time.
type event struct {
	number  int
	removes bool
}

func newNews(counted int) *newsOf {
	return &newsOf{counted: counted, exists: counted, again: map[uint32]bool{}, sets: map[string]*flagSet{}}
}

// news takes what comes before the listing.
func (n *newsOf) news(d *wire.Decoder, number uint32, word string) error {
	switch word {
	case "EXISTS":
		return n.grow(int(number))
	case "EXPUNGE":
		n.exists--
		n.removed++
		return n.happened(event{int(number), true})
	case "VANISHED":
		return n.vanished(d)
	case "FETCH":
		return n.told(n.item(d), int(number))
	case "ESEARCH":
		return n.found(string(d.Rest()))
	}
	n.words(d, word)
	return nil
}

// words takes what the server says of the mailbox as a whole. Of its flags it may speak at any time.
func (n *newsOf) words(d *wire.Decoder, word string) {
	switch word {
	case "FLAGS":
		n.flags = strings.TrimSpace(string(d.Rest()))
	case "OK":
		code, _ := wire.SplitCode(strings.TrimPrefix(string(d.Rest()), " "))
		switch name, value, _ := strings.Cut(code, " "); strings.ToUpper(name) {
		case "PERMANENTFLAGS":
			n.permanent = value
		case "UIDVALIDITY":
			validity, _ := strconv.ParseUint(value, 10, 32) // 0 is that of no mailbox
			n.uidValidity = uint32(validity)
		}
	}
}

func (n *newsOf) grow(exists int) error {
	n.grown = n.grown || exists > n.exists
	if n.exists = exists; exists > maxView {
		return cannot(atView, "%d messages are too many to compare", exists)
	}
	return nil
}

func (n *newsOf) happened(e event) error {
	if n.events = append(n.events, e); len(n.events) > maxNews {
		return cannot(atView, "the server tells of too many changes")
	}
	return nil
}

// told takes the flags of a message that was not listed.
func (n *newsOf) told(m message, number int) error {
	if m.uid == 0 {
		return n.happened(event{number, false})
	}
	if n.again[m.uid] = true; len(n.again) > maxNews || n.spelt > maxSpelt {
		return cannot(atView, "the server tells of too many changes")
	}
	return nil
}

// vanished takes removals by UID. Behind new messages it is not known whether it speaks of those.
func (n *newsOf) vanished(d *wire.Decoder) error {
	set, err := wire.ParseSet(strings.TrimSpace(string(d.Rest())))
	if err != nil {
		return cannot(atView, "VANISHED: %w", err)
	}
	if n.grown {
		return cannot(atView, "VANISHED behind EXISTS")
	}
	n.gone.AddSet(set)
	if n.exists -= int(set.Len()); n.exists < 0 || len(n.gone) > maxRanges {
		return cannot(atView, "too many messages have vanished")
	}
	return nil
}

// found takes "(TAG …) UID ALL set".
func (n *newsOf) found(text string) (err error) {
	words := strings.Fields(text)
	if i := slices.IndexFunc(words, func(w string) bool { return wire.EqualFold(w, "ALL") }); i >= 0 && i+1 < len(words) {
		n.search, err = wire.ParseSet(words[i+1])
	}
	return err
}

// listing takes the listing. Nothing may be removed while it comes (RFC 9051, 7.5.1).
func (n *newsOf) listing(d *wire.Decoder, number uint32, word string) error {
	switch word {
	case "EXISTS":
		return n.grow(int(number))
	case "EXPUNGE", "VANISHED":
		return cannot(atView, "%s inside FETCH", word)
	case "FETCH":
		return n.fetched(d, int(number))
	}
	n.words(d, word)
	return nil
}

func (n *newsOf) fetched(d *wire.Decoder, seq int) error {
	m := n.item(d)
	switch {
	case d.Err() != nil:
		return d.Err()
	case n.spelt > maxSpelt:
		return cannot(atView, "there are too many different flags")
	case seq < 1 || seq > len(n.list)+1: // servers list in order; the list is never longer than what has come
		n.holes = true
	case m.uid == 0 || m.flags == nil: // told besides
		return n.told(m, seq)
	case seq <= len(n.list): // told again, because it has changed since
		n.list[seq-1] = m
		return n.told(m, seq)
	case len(n.list) == maxView:
		return cannot(atView, "the list of messages is too long to compare")
	default:
		n.list = append(n.list, m)
	}
	return nil
}

// item reads "(UID 7 FLAGS (\Seen) MODSEQ (12))".
func (n *newsOf) item(d *wire.Decoder) (m message) {
	d.SP()
	d.List(func() {
		switch name := strings.ToUpper(d.Atom()); name {
		case "UID":
			d.SP()
			m.uid = d.Number32()
		case "FLAGS":
			d.SP()
			m.flags = n.flagsOf(d)
		case "MODSEQ":
			d.SP()
			d.List(func() { m.mod = d.Number() })
		default:
			d.SP()
			d.Skip()
		}
	})
	return m
}

// flagsOf reads a list of flags.
func (n *newsOf) flagsOf(d *wire.Decoder) *flagSet {
	var list []string
	d.List(func() {
		if f := d.Flag(); !wire.EqualFold(f, `\Recent`) {
			list = append(list, f)
		}
	})
	spelt := strings.Join(list, " ")
	if set := n.sets[spelt]; set != nil {
		return set
	}
	for i := range list {
		list[i] = strings.ToLower(list[i])
	}
	slices.Sort(list)
	n.spelt += len(spelt) + setCost
	n.sets[spelt] = &flagSet{sorted: strings.Join(list, " "), spelt: spelt}
	return n.sets[spelt]
}

// whole checks that the listing has all UIDs, and that they rise.
func (n *newsOf) whole() error {
	for i, m := range n.list {
		if m.uid == 0 || i > 0 && m.uid <= n.list[i-1].uid {
			return cannot(atView, "the listing has no UID for message %d, or one that does not rise", i+1)
		}
	}
	return nil
}

package migrate

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"imapferry/internal/wire"
)

// message is what a listing tells of one message.
type message struct {
	uid   uint32
	size  int64     // RFC822.SIZE, where asked for; servers lie about it
	date  time.Time // INTERNALDATE as an instant
	raw   string    // INTERNALDATE as the server wrote it
	odd   bool      // what the server gave was no date, and raw is substituteDate
	flags flags
	body  bool // a body came with it
}

// flags are the flags of a message, without \Recent, sorted, joined by spaces, in the server's spelling.
type flags string

// same compares two sets of flags without regard to case, as RFC 9051 2.3.2 demands.
func (f flags) same(g flags) bool {
	return f == g || slices.Equal(f.folded(), g.folded())
}

func (f flags) folded() []string {
	words := strings.Fields(strings.ToLower(string(f)))
	slices.Sort(words)
	return slices.Compact(words) // servers fold spellings of one keyword, or keep them apart
}

// internalDate is the form of INTERNALDATE, with a day padded by a space or zero.
const internalDate = "_2-Jan-2006 15:04:05 -0700"

// listing is the messages of one folder in order of UID.
type listing []message

// digest tells whether two listings of a folder are the same.
func (l listing) digest() (sum digest) {
	h := sha256.New()
	var b []byte
	for i := range l {
		m := &l[i]
		b = fmt.Appendf(b[:0], "%d %d %t %q\n", m.uid, m.date.Unix(), m.odd, m.flags)
		h.Write(b)
	}
	h.Sum(sum[:0])
	return sum
}

// below counts the messages whose UID is below next.
func (l listing) below(next uint32) (n int) {
	for n = len(l); n > 0 && l[n-1].uid >= next; n-- {
	}
	return n
}

// find returns the message with the UID, or nil.
func (l listing) find(uid uint32) *message {
	i, ok := slices.BinarySearchFunc(l, uid, func(m message, uid uint32) int { return int(int64(m.uid) - int64(uid)) })
	if !ok {
		return nil
	}
	return &l[i]
}

// uidsFrom returns the UIDs of l that are at least from.
func uidsFrom(l listing, from uint32) (s wire.Set) {
	for i := range l {
		if l[i].uid >= from {
			s.Add(l[i].uid)
		}
	}
	return s
}

// list reads the messages of the open folder whose UID is at least from, with the given items beside UID.
func (c *client) list(from uint32, items string) (listing, error) {
	return c.listing(fmt.Sprintf("%d:*", from), from, items)
}

// listing reads the messages of the open folder in the set whose UID is at least from.
func (c *client) listing(set string, from uint32, items string) (listing, error) {
	var l listing
	intern := map[flags]flags{} // few different sets of flags serve a whole folder
	_, err := c.do(func(r response) error {
		if r.word != "FETCH" {
			return nil
		}
		var m message
		if err := parseFetch(r.d, &m, nil); err != nil {
			return err
		}
		if m.raw == "" && strings.Contains(items, "INTERNALDATE") {
			return nil // not of this listing: the server tells of flags that others have changed, which is for the next one
		}
		if m.uid < from { // "n:*" names the last message even if its UID is lower
			return nil
		}
		if f, ok := intern[m.flags]; ok {
			m.flags = f
		} else {
			intern[m.flags] = m.flags
		}
		m.raw = ""
		l = append(l, m)
		return nil
	}, "UID FETCH", set, "(UID "+items+")")
	if err != nil {
		return nil, fmt.Errorf("list %s in %s: %w", wire.Quoted(c.selected), c.side, err)
	}
	slices.SortFunc(l, func(a, b message) int { return int(int64(a.uid) - int64(b.uid)) })
	return slices.CompactFunc(l, func(a, b message) bool { return a.uid == b.uid }), nil
}

// parseFetch reads the data of a FETCH response. A body goes to onBody, whatever was read of m before it.
func parseFetch(d *wire.Decoder, m *message, onBody func(d *wire.Decoder) error) error {
	var err error
	d.List(func() {
		item := strings.ToUpper(d.Atom())
		d.SP()
		switch {
		case item == "UID":
			m.uid = d.Number32()
		case item == "FLAGS":
			m.flags = parseFlags(d)
		case item == "INTERNALDATE":
			m.parseDate(d)
		case item == "RFC822.SIZE":
			m.size = int64(d.Number() & (1<<63 - 1))
		case strings.HasPrefix(item, "BODY[") && onBody != nil && err == nil:
			m.body = true
			if d.Peek() == '(' { // BODY[HEADER.FIELDS (…)]
				d.Skip()
				d.Accept(']')
				d.SP()
			}
			err = onBody(d)
		default:
			d.Skip()
		}
	})
	if err == nil {
		err = d.Err()
	}
	if err == nil && m.uid == 0 && (m.raw != "" || m.body) { // one that only tells of flags may come without
		err = fmt.Errorf("%w: FETCH without UID", wire.ErrSyntax)
	}
	return err
}

func (m *message) parseDate(d *wire.Decoder) {
	raw, _ := d.NString()
	if len(raw) == 0 {
		raw = []byte("NIL")
	}
	date, err := time.Parse(internalDate, strings.TrimSpace(string(raw)))
	m.raw, m.date, m.odd = string(raw), date.UTC(), err != nil
	if m.odd {
		m.raw, m.date = substituteDate, time.Unix(0, 0).UTC()
	}
}

// parseDate reads a date that was sent, or is about to be.
func parseDate(raw string) time.Time {
	date, _ := time.Parse(internalDate, strings.TrimSpace(raw))
	return date
}

// substituteDate is what messages get whose INTERNALDATE is none, or none that the target takes.
const substituteDate = "01-Jan-1970 00:00:00 +0000"

func parseFlags(d *wire.Decoder) flags {
	var words []string
	d.List(func() {
		if f := d.Flag(); !wire.EqualFold(f, `\Recent`) {
			words = append(words, f)
		}
	})
	slices.Sort(words)
	return flags(strings.Join(slices.Compact(words), " "))
}

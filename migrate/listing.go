package migrate

import (
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
	flags flags
	body  bool // a body came with it
}

// flags are the flags of a message, without \Recent, sorted, joined by spaces, in the server's spelling.
type flags string

// same compares two sets of flags without regard to case, as RFC 9051 2.3.2 demands.
func (f flags) same(g flags) bool {
	if f == g || strings.EqualFold(string(f), string(g)) {
		return true
	}
	return slices.Equal(f.folded(), g.folded()) // another order of spelling
}

func (f flags) folded() []string {
	words := strings.Fields(strings.ToLower(string(f)))
	slices.Sort(words)
	return words
}

// internalDate is the form of INTERNALDATE, with a day padded by a space or zero.
const internalDate = "_2-Jan-2006 15:04:05 -0700"

// listing is the messages of one folder in order of UID.
type listing []message

// find returns the message uid.
func (l listing) find(uid uint32) (*message, bool) {
	i, ok := slices.BinarySearchFunc(l, uid, func(m message, uid uint32) int { return int(int64(m.uid) - int64(uid)) })
	if !ok {
		return nil, false
	}
	return &l[i], true
}

// list reads the messages of the open folder whose UID is at least from, with the given items beside UID.
func (c *client) list(from uint32, items string) (listing, error) {
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
	}, "UID FETCH", fmt.Sprintf("%d:*", from), "(UID "+items+")")
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
			err = m.parseDate(d)
		case item == "RFC822.SIZE":
			m.size = int64(d.Number() & (1<<63 - 1))
		case strings.HasPrefix(item, "BODY[") && onBody != nil && err == nil:
			m.body = true
			err = onBody(d)
		default:
			d.Skip()
		}
	})
	if err == nil {
		err = d.Err()
	}
	if err == nil && m.uid == 0 {
		err = fmt.Errorf("%w: FETCH without UID", wire.ErrSyntax)
	}
	return err
}

func (m *message) parseDate(d *wire.Decoder) (err error) {
	raw, _ := d.NString()
	m.raw = string(raw)
	if m.date, err = time.Parse(internalDate, strings.TrimSpace(m.raw)); err != nil {
		return fmt.Errorf("%w: INTERNALDATE %s of uid %d", wire.ErrSyntax, wire.Quoted(m.raw), m.uid)
	}
	return nil
}

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

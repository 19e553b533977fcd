package migrate

import (
	"context"
	"fmt"
	"strings"

	"imapferry/internal/wire"
	"imapferry/state"
)

// maxDelta bounds the messages that a delta takes up; for more a comparison of whole listings is as quick, and proves more.
const maxDelta = 2000

// delta is what a source with QRESYNC (RFC 7162) says has happened in a folder since a mod-sequence.
type delta struct {
	status
	vanished wire.Set // may name UIDs that never existed
	changed  listing  // new messages, and messages whose flags may have changed
}

// since opens the folder read-only and asks what has happened since modSeq. It takes one round trip, however large the folder is.
func (c *client) since(folder string, uidValidity uint32, modSeq uint64) (d delta, err error) {
	c.selected, c.readOnly = "", true
	_, err = c.do(func(r response) error {
		switch r.word {
		case "EXISTS", "OK":
			d.take(r)
		case "VANISHED":
			return d.takeVanished(r.d)
		case "FETCH":
			var m message
			if err := parseFetch(r.d, &m, nil); err != nil {
				return err
			}
			d.changed = append(d.changed, m)
		}
		return nil
	}, "EXAMINE", name(folder), fmt.Sprintf("(QRESYNC (%d %d))", uidValidity, modSeq))
	if err != nil {
		return d, fmt.Errorf("open %s in %s: %w", wire.Quoted(folder), c.side, err)
	}
	c.selected = folder
	return d, nil
}

func (d *delta) takeVanished(dec *wire.Decoder) error {
	if dec.Peek() == '(' { // EARLIER
		dec.Skip()
		dec.SP()
	}
	set, err := wire.ParseSet(dec.Atom())
	d.vanished.AddSet(set)
	return err
}

// below returns the vanished UIDs below next.
func (d *delta) below(next uint32) (s wire.Set) {
	for _, r := range d.vanished {
		if r.From < next {
			s.AddRange(r.From, min(r.To, next-1))
		}
	}
	return s
}

// follow brings over what has happened in a folder since it was proven equal, without looking at the rest, and proves
// it again: what was equal, with the same messages added, changed and taken away on both sides, and the same count in
// the end, is equal. done is false if that cannot be told; then the whole listings have to be compared.
func (l *lane) follow(ctx context.Context, m *mailbox, f state.Folder, n note) (changed int64, done bool, err error) {
	d, err := l.src.since(m.name, f.UIDValidity, f.HighestModSeq)
	if err != nil {
		return 0, false, vanished(m.name, err)
	}
	if d.uidValidity != f.UIDValidity || d.modSeq < max(f.HighestModSeq, 1) || d.uidNext < n.Done || len(d.changed) > maxDelta {
		return 0, false, nil
	}
	m.status = d.status
	if d.nothing() && m.status == (status{f.UIDValidity, f.UIDNext, f.Messages, f.HighestModSeq}) {
		l.w.hasPassed(m.name, l.began) // it was a hint that asked for the look
		return 0, true, nil
	}
	if err := l.w.dirty(ctx, m.name); err != nil {
		return 0, false, err
	}
	there, err := l.dst.openFolder(m.name, true)
	if err != nil {
		return 0, false, err
	}
	if !n.names(f, there) {
		return 0, false, another(m.name, there)
	}
	if err := l.apply(m.name, d.wanted(n.Done).without(l.w.lostFlags(m.name))); err != nil {
		return 0, false, err
	}
	if d.uidNext > n.Done {
		filled, _, err := l.copyNew(ctx, m, n.Done)
		if err != nil {
			return 0, false, err
		}
		if err := l.dst.expunge(m.name, filled); err != nil {
			return 0, false, err
		}
	}
	changed = int64(len(d.changed)) + int64(len(d.vanished))
	ok, err := l.check(ctx, m, &d)
	if err != nil || !ok {
		return changed, false, err
	}
	l.found(m, d.messages, digest{})
	return changed, true, nil
}

// nothing reports whether no message is new, changed or gone.
func (d *delta) nothing() bool { return len(d.changed) == 0 && len(d.vanished) == 0 }

// wanted turns the delta into what has to be done to the target below next.
func (d *delta) wanted(next uint32) difference {
	want := difference{extra: d.below(next), flags: map[flags]wire.Set{}}
	for _, c := range d.changed {
		if c.uid < next {
			want.flag(c.flags, c.uid)
		}
	}
	return want
}

// without takes out flags that the target does not keep.
func (d difference) without(lost flags) difference {
	wanted := difference{extra: d.extra, flags: map[flags]wire.Set{}}
	for f, set := range d.flags {
		for uid := range set.All() {
			wanted.flag(f.without(lost), uid)
		}
	}
	return wanted
}

// check compares the messages that the delta touches, and the count.
func (l *lane) check(ctx context.Context, m *mailbox, d *delta) (bool, error) {
	var uids wire.Set
	var x excuses
	for _, c := range d.changed {
		uids.Add(c.uid)
	}
	if len(uids) > 0 {
		var both [2]listing
		for i, c := range []*client{l.src, l.dst} {
			if i == 1 && c.selected != m.name {
				if _, err := c.openFolder(m.name, true); err != nil {
					return false, err
				}
			}
			var err error
			if both[i], err = c.listSet(uids, "FLAGS INTERNALDATE"); err != nil {
				return false, err
			}
		}
		diff := compare(both[0], both[1], m.status.uidNext)
		x = l.excuse(m.name, &diff, &difference{}, both[0], both[1])
		if !diff.empty() {
			return false, nil
		}
	}
	if err := l.record(ctx, m.name, x, func(uid uint32) bool { return uids.Contains(uid) || d.vanished.Contains(uid) }, d.vanished.Contains); err != nil {
		return false, err
	}
	return l.dst.exists == d.messages, nil
}

// listSet is list for a set of UIDs.
func (c *client) listSet(uids wire.Set, items string) (l listing, err error) {
	for _, part := range uids.Split(maxSetText) {
		some, err := c.listing(part.String(), 1, items)
		if err != nil {
			return nil, err
		}
		l = append(l, some...)
	}
	return l, nil
}

// enableQresync makes the source tell what has vanished, if it can.
func (c *client) enableQresync() error {
	if !c.caps.Has("QRESYNC") || !c.caps.Has("ENABLE") {
		return nil
	}
	_, err := c.do(func(r response) error {
		if r.word == "ENABLED" {
			c.qresync = strings.Contains(strings.ToUpper(string(r.d.Rest())), "QRESYNC")
		}
		return nil
	}, "ENABLE QRESYNC")
	return err
}

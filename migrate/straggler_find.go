package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"imapferry/internal/wire"
)

// straggler is a message of the source that the target may lack.
type straggler struct {
	uid  uint32
	id   string    // Message-ID; empty if there is none that can be searched for
	date time.Time // INTERNALDATE
}

// identify reads by what the messages of the open folder m of the source can be searched for. Those that are gone are left out, and so are
// those that the source does not give, of which bad says why.
func (p *straggling) identify(m *mailbox, some listing) (all []straggler, bad map[uint32]error, err error) {
	found := map[uint32]straggler{}
	bad, err = p.given(m, uidsFrom(some, 1), func(uids wire.Set) error {
		if err := p.src.identify(uids, found); err != nil {
			return err
		}
		return notLeftOut(p.src, uids, found)
	})
	for _, uid := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[uid])
	}
	return all, bad, err
}

// identify reads the headers of messages of the open folder into found.
func (c *client) identify(uids wire.Set, found map[uint32]straggler) error {
	for _, part := range uids.Split(maxSetText) {
		_, err := c.do(func(r response) error {
			if r.word != "FETCH" {
				return nil
			}
			m, s := message{}, straggler{}
			err := parseFetch(r.d, &m, func(d *wire.Decoder) error {
				if d.Peek() != '{' {
					header, _ := d.NString() // NIL shows when the message itself is read
					s.id = messageID(header)
					return d.Err()
				}
				return c.body(d, &m, func(_ *message, _ int64, header io.Reader) error {
					kept, err := readHead(header)
					s.id = messageID(kept)
					return err
				})
			})
			if err == nil && m.body {
				s.uid, s.date = m.uid, m.date
				found[s.uid] = s
			}
			return err
		}, "UID FETCH", part.String(), "(UID INTERNALDATE BODY.PEEK[HEADER])")
		if err != nil {
			return fmt.Errorf("read headers in source: %w", err)
		}
	}
	return nil
}

// messageID returns the Message-ID of a header, or "" if there is none or servers may understand it differently.
func messageID(header []byte) string {
	const field = "message-id:"
	for line := range bytes.Lines(header) {
		if len(line) < len(field) || !strings.EqualFold(string(line[:len(field)]), field) {
			continue
		}
		id := strings.TrimSpace(string(line[len(field):]))
		if len(id) > 500 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
			return ""
		}
		return id
	}
	return ""
}

// already tells which messages of the open folder m of the source the target has, and in which folder. It is the same
// message if its bytes are the same, and each copy in the target stands for one copy in the source: for one that is done
// already, if there is any, or for one of these. What has come since where a batch was on its way is that batch's first. bad says why
// the source does not give some of which that cannot be told therefore.
func (p *straggling) already(m *mailbox, t *late, some []straggler) (found map[uint32]string, bad map[uint32]error, err error) {
	target, err := p.targetFolders()
	if err != nil || len(some) == 0 {
		return nil, nil, err
	}
	found = map[uint32]string{}
	spare := map[digest][]string{}
	var sums map[digest][]uint32
	for _, name := range target.names() {
		if target.mailboxes[name].status.messages == 0 {
			continue
		}
		var from uint32
		if t.Trying != nil && string(t.Trying.Folder) == name {
			from = t.Trying.UIDNext
		}
		hits, err := p.dst.alike(name, some, from)
		if err != nil {
			return nil, nil, err
		}
		theirs, err := p.dst.digestsOf(hits)
		if err == nil && len(theirs) > 0 && sums == nil {
			sums, bad, err = p.sums(m, some)
		}
		if err != nil {
			return nil, nil, err
		}
		for uid, sum := range theirs {
			if same := sums[sum]; from != 0 && uid >= from && len(same) > 0 {
				found[same[0]], sums[sum] = name, same[1:]
			} else if len(same) > 0 {
				spare[sum] = append(spare[sum], name)
			}
		}
	}
	if len(spare) > 0 {
		if err := p.discount(m, t, some, spare); err != nil {
			return nil, nil, err
		}
	}
	for sum, names := range spare {
		for i, uid := range sums[sum][:min(len(names), len(sums[sum]))] {
			found[uid] = names[i]
		}
	}
	return found, bad, p.dst.closeFolder()
}

// discount takes from spare the copies that stand for messages of the source that are done.
func (p *straggling) discount(m *mailbox, t *late, some []straggler, spare map[digest][]string) error {
	for _, other := range p.source.names() {
		o := t
		if other != m.name {
			f, n, err := p.w.folder(other)
			if err != nil {
				return err
			}
			late := lateOf(f, n, p.source.mailboxes[other])
			o = &late
		}
		hits, err := p.src.alike(other, some, 0)
		if err != nil {
			return err
		}
		var done wire.Set
		for uid := range hits.All() {
			if uid < o.UIDNext && !o.Left.Contains(uid) {
				done.Add(uid)
			}
		}
		ours, _, err := p.digestsIn(p.source.mailboxes[other], done) // the target cannot have what is not given
		if err != nil {
			return err
		}
		for _, sum := range ours {
			if names := spare[sum]; len(names) > 0 {
				spare[sum] = names[1:]
			}
		}
	}
	_, err := p.openSource(m)
	return err
}

// sums reads messages of the open folder m of the source and returns them by digest, in order of UID.
func (p *straggling) sums(m *mailbox, some []straggler) (sums map[digest][]uint32, bad map[uint32]error, err error) {
	var uids wire.Set
	for _, s := range some {
		uids.Add(s.uid)
	}
	ours, bad, err := p.digestsIn(m, uids)
	sums = map[digest][]uint32{}
	for _, uid := range slices.Sorted(maps.Keys(ours)) {
		sums[ours[uid]] = append(sums[ours[uid]], uid)
	}
	return sums, bad, err
}

// digestsIn is digestsOf for the open folder m of the source, but for the messages that it does not give, of which bad says why.
func (p *straggling) digestsIn(m *mailbox, uids wire.Set) (sums map[uint32]digest, bad map[uint32]error, err error) {
	sums = map[uint32]digest{}
	bad, err = p.given(m, uids, func(some wire.Set) error {
		ours, err := p.src.digestsOf(some)
		maps.Copy(sums, ours)
		return err
	})
	return sums, bad, err
}

// given has read ask for messages of the open folder m of the source, and for each by itself if one is in the way of the others. bad says
// why the source does not give some.
func (p *straggling) given(m *mailbox, uids wire.Set, read func(wire.Set) error) (bad map[uint32]error, err error) {
	bad = map[uint32]error{}
	if err := read(uids); !notGiven(err, uids) {
		return bad, err
	}
	if err := p.resume(m); err != nil {
		return nil, err
	}
	for uid := range uids.All() {
		this := wire.Set{{From: uid, To: uid}}
		reason, err := p.twice(m, func() error {
			err := read(this)
			if notGiven(err, this) {
				err = unread{uid, err}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if reason != nil {
			bad[uid] = reason
		}
	}
	return bad, nil
}

// twice has read ask for a message of the folder m of the source, and once more over new connections if it is not given. bad says why it
// was not.
func (p *straggling) twice(m *mailbox, read func() error) (bad, err error) {
	for range maxReads {
		err := read()
		_, about := aboutMessage(err)
		if _, held := permanent(err); !about && !held {
			return nil, err
		}
		bad = err
		if err := p.resume(m); err != nil { // the source may be in the middle of something else
			return nil, err
		}
	}
	return bad, nil
}

// resume takes new connections and opens the folder m of the source again.
func (p *straggling) resume(m *mailbox) error {
	if err := p.reopen(); err != nil {
		return err
	}
	_, err := p.openSource(m)
	return err
}

// alike opens a folder and returns the messages that may be one of some: those with the same Message-ID or,
// for messages without one, with the same date; and of all from UID from on, if that is not 0. A folder that is gone has none.
func (c *client) alike(folder string, some []straggler, from uint32) (wire.Set, error) {
	if _, err := c.openFolder(folder, false); err != nil {
		if errors.Is(vanished(folder, err), errVanished) {
			err = nil
		}
		return nil, err
	}
	var ids, days []string
	dates := map[int64]bool{}
	for _, s := range some {
		if s.id != "" {
			ids = append(ids, "HEADER Message-ID "+wire.Quoted(s.id))
			continue
		}
		dates[s.date.Unix()] = true
		const day = 24 * time.Hour // servers go by the day in a zone of their own
		key := fmt.Sprintf("(SINCE %s BEFORE %s)", s.date.Add(-day).Format(searchDate), s.date.Add(2*day).Format(searchDate))
		if !slices.Contains(days, key) {
			days = append(days, key)
		}
	}
	hits, err := c.search(ids)
	if err != nil {
		return nil, err
	}
	near, err := c.search(days)
	if err != nil {
		return nil, err
	}
	dated, err := c.listSet(near, "INTERNALDATE")
	for i := range dated {
		if dates[dated[i].date.Unix()] {
			hits.Add(dated[i].uid)
		}
	}
	if err == nil && from != 0 {
		var since listing
		since, err = c.list(from, "FLAGS")
		hits.AddSet(uidsFrom(since, from))
	}
	return hits, err
}

// searchDate is the form of a date in SEARCH.
const searchDate = "2-Jan-2006"

// search returns the messages of the open folder that match any of keys.
func (c *client) search(keys []string) (found wire.Set, err error) {
	for len(keys) > 0 {
		any, n := keys[0], 1
		for n < len(keys) && len(any)+len(keys[n]) < maxSetText {
			any = "OR " + keys[n] + " " + any
			n++
		}
		keys = keys[n:]
		_, err := c.do(func(r response) error {
			if r.word != "SEARCH" {
				return nil
			}
			for r.d.Err() == nil && r.d.Peek() != 0 {
				found.Add(r.d.Number32())
				r.d.Accept(' ')
			}
			return nil
		}, "UID SEARCH", any)
		if err != nil {
			return nil, fmt.Errorf("search %s in %s: %w", wire.Quoted(c.selected), c.side, err)
		}
	}
	return found, nil
}

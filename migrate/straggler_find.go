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

// identify reads by what the messages of the open folder of the source can be searched for. Those that are gone are left out.
func (p *straggling) identify(some listing) (all []straggler, err error) {
	for _, part := range uidsFrom(some, 1).Split(maxSetText) {
		_, err := p.src.do(func(r response) error {
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
				return p.src.body(d, &m, func(_ *message, _ int64, header io.Reader) error {
					kept, err := readHead(header)
					s.id = messageID(kept)
					return err
				})
			})
			if err == nil && m.body {
				s.uid, s.date = m.uid, m.date
				all = append(all, s)
			}
			return err
		}, "UID FETCH", part.String(), "(UID INTERNALDATE BODY.PEEK[HEADER])")
		if err != nil {
			return nil, fmt.Errorf("read headers in source: %w", err)
		}
	}
	return all, nil
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
// already, if there is any, or for one of these. What has come since where a batch was on its way is that batch's first.
func (p *straggling) already(m *mailbox, t *late, some []straggler) (map[uint32]string, error) {
	target, err := p.targetFolders()
	if err != nil || len(some) == 0 {
		return nil, err
	}
	found, spare := map[uint32]string{}, map[digest][]string{}
	var sums map[digest][]uint32
	for _, name := range target.names() {
		if target.mailboxes[name].status.messages == 0 {
			continue
		}
		var from uint32
		if t.Trying != nil && string(t.Trying.Folder) == name {
			from = t.Trying.UIDNext
		}
		theirs, err := p.dst.alike(name, some, from)
		if err == nil && len(theirs) > 0 && sums == nil {
			sums, err = p.sums(m, some)
		}
		if err != nil {
			return nil, err
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
			return nil, err
		}
	}
	for sum, names := range spare {
		for i, uid := range sums[sum][:min(len(names), len(sums[sum]))] {
			found[uid] = names[i]
		}
	}
	return found, p.dst.closeFolder()
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
		ours, err := p.src.alike(other, some, 0)
		if err != nil {
			return err
		}
		for uid, sum := range ours {
			if names := spare[sum]; len(names) > 0 && uid < o.UIDNext && !o.Left.Contains(uid) {
				spare[sum] = names[1:]
			}
		}
	}
	_, err := p.openSource(m)
	return err
}

// sums reads messages of the open folder m of the source and returns them by digest, in order of UID. Those that the
// source cannot give are passed over: they show again when they are to be sent.
func (p *straggling) sums(m *mailbox, some []straggler) (map[digest][]uint32, error) {
	var uids wire.Set
	for _, s := range some {
		uids.Add(s.uid)
	}
	ours, err := p.src.digestsOf(uids)
	if _, unreadable := permanent(err); unreadable {
		ours, err = p.oneByOne(m, uids)
	}
	sums := map[digest][]uint32{}
	for _, uid := range slices.Sorted(maps.Keys(ours)) {
		sums[ours[uid]] = append(sums[ours[uid]], uid)
	}
	return sums, err
}

// oneByOne reads messages of the folder m of the source, without those that cannot be read.
func (p *straggling) oneByOne(m *mailbox, uids wire.Set) (map[uint32]digest, error) {
	all := map[uint32]digest{}
	if err := p.resume(m); err != nil {
		return nil, err
	}
	for uid := range uids.All() {
		one, err := p.src.digests(wire.Set{{From: uid, To: uid}})
		if _, unreadable := permanent(err); unreadable {
			err = p.resume(m)
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(all, one)
	}
	return all, nil
}

// resume takes new connections and opens the folder m of the source again.
func (p *straggling) resume(m *mailbox) error {
	if err := p.reopen(); err != nil {
		return err
	}
	_, err := p.openSource(m)
	return err
}

// alike opens a folder and returns the digests of messages that may be one of some: those with the same Message-ID or,
// for messages without one, with the same date; and of all from UID from on, if that is not 0. A folder that is gone has none.
func (c *client) alike(folder string, some []straggler, from uint32) (map[uint32]digest, error) {
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
	if err != nil {
		return nil, err
	}
	return c.digestsOf(hits)
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

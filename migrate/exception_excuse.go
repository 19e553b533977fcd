package migrate

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// excuses is what a comparison found that the target cannot be made to keep, with what is said of it.
type excuses struct{ flags, dates map[uint32]string }

// excuse takes out of d what cannot be mended: dates, and flags that the target does not keep. Those are learned where it
// was told to set them, in the look before, and has not.
func (l *lane) excuse(folder string, d, before *difference, src, dst listing) excuses {
	x := excuses{flags: map[uint32]string{}, dates: map[uint32]string{}}
	for f, set := range d.flags {
		if !slices.Equal(set, before.flags[f]) {
			continue
		}
		lost := f.without(dst.find(set[0].From).flags)
		l.w.lose(folder, lost)
		if lost == "" { // it keeps more than it was told
			delete(d.flags, f)
			for uid := range set.All() {
				x.flags[uid] = both(string(f), string(dst.find(uid).flags))
			}
		}
	}
	lost := l.w.lostFlags(folder)
	for _, f := range slices.Collect(maps.Keys(d.flags)) {
		kept, set := f.without(lost), d.flags[f]
		if kept == f {
			continue
		}
		delete(d.flags, f)
		for uid := range set.All() {
			x.flags[uid] = fmt.Sprintf("the target does not keep %s", f.without(kept))
			if m := dst.find(uid); !m.flags.same(kept) {
				d.flag(kept, uid)
			}
		}
	}
	for uid := range d.dates.All() {
		s, t := src.find(uid), dst.find(uid)
		x.dates[uid] = both(instant(s), instant(t))
		if s.odd {
			x.dates[uid] = "the source's INTERNALDATE is no date; the target has " + instant(t)
		}
	}
	d.dates = nil
	return x
}

// record brings the exceptions of a folder, open in the source, to what a comparison of the messages in scope has found.
// Those of messages that are not there any more go.
func (l *lane) record(ctx context.Context, folder string, x excuses, scope func(uint32) bool, gone func(uint32) bool) error {
	var fresh []state.Exception
	for _, c := range []struct {
		class string
		found map[uint32]string
	}{{ClassFlags, x.flags}, {ClassDate, x.dates}} {
		known := l.w.exceptions.uids(folder, c.class)
		var mended wire.Set
		for uid := range known.All() {
			if _, still := c.found[uid]; !still && scope(uid) {
				mended.Add(uid)
			}
		}
		if err := l.w.mended(ctx, folder, c.class, mended); err != nil {
			return err
		}
		for _, uid := range slices.Sorted(maps.Keys(c.found)) {
			if !known.Contains(uid) {
				fresh = append(fresh, state.Exception{Folder: folder, UID: uid, Class: c.class, Text: c.found[uid]})
			}
		}
	}
	for _, class := range append([]string{ClassBody}, replaced...) {
		var mended wire.Set
		for uid := range l.w.exceptions.uids(folder, class).All() {
			if gone(uid) {
				mended.Add(uid)
			}
		}
		if err := l.w.mended(ctx, folder, class, mended); err != nil {
			return err
		}
	}
	return l.except(ctx, fresh)
}

// except records exceptions of messages of the source's open folder, with their Message-IDs.
func (l *lane) except(ctx context.Context, list []state.Exception) error {
	if len(list) == 0 {
		return nil
	}
	var uids wire.Set
	for _, e := range list {
		uids.Add(e.UID)
	}
	uids = minus(uids, l.w.exceptions.uids(list[0].Folder, ClassUnreadable))
	ids, err := l.src.messageIDs(uids)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].MessageID = ids[list[i].UID]
	}
	return l.w.except(ctx, list...)
}

// messageIDs asks for the Message-IDs of messages of the open folder.
func (c *client) messageIDs(uids wire.Set) (map[uint32]string, error) {
	ids := map[uint32]string{}
	for _, part := range uids.Split(maxSetText) {
		_, err := c.do(func(r response) error {
			if r.word != "FETCH" {
				return nil
			}
			var m message
			var header []byte
			err := parseFetch(r.d, &m, func(d *wire.Decoder) error {
				if d.Peek() == 'N' { // NIL: it cannot be read any more
					d.Skip()
					return d.Err()
				}
				return c.body(d, &m, func(_ *message, _ int64, body io.Reader) (err error) {
					header, err = readHead(body)
					return err
				})
			})
			ids[m.uid] = headerField(header, "Message-ID")
			return err
		}, "UID FETCH", part.String(), "(UID BODY.PEEK[HEADER])")
		if err != nil {
			return nil, fmt.Errorf("read Message-IDs of %s in %s: %w", wire.Quoted(c.selected), c.side, err)
		}
	}
	return ids, nil
}

// maxHead bounds what is kept of a header.
const maxHead = 64 << 10

// readHead returns the beginning of r, which it reads to its end.
func readHead(r io.Reader) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(r, maxHead))
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r)
	return head, err
}

// headerField returns a field of a header, unfolded, if it is clean: printable ASCII and not too long for one line.
func headerField(header []byte, name string) string {
	var value string
	var inside bool
	for line := range strings.SplitSeq(string(header), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || inside && line[0] != ' ' && line[0] != '\t' {
			if inside || line == "" {
				break
			}
		}
		if inside {
			value += " " + strings.TrimSpace(line)
			continue
		}
		if field, rest, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(field), name) {
			value, inside = strings.TrimSpace(rest), true
		}
	}
	const most = 900
	if len(value) > most || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return value
}

// dateKept reports whether every server can keep a date: some turn others into the present.
func dateKept(unix int64) bool { return unix >= 0 && unix <= time.Now().Unix() }

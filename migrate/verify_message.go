package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"imapferry/internal/wire"
)

// pair is a message's flags on both sides.
type pair struct{ src, dst flags }

// attributes tells which messages have other flags or another date.
func (v *verification) attributes(s *sides) error {
	for uid := range s.diff.dates.All() {
		src, dst := instant(s.src.find(uid)), instant(s.dst.find(uid))
		v.sayUIDs(Difference{Kind: KindDate, Folder: s.name, Source: src, Target: dst, Text: both(src, dst)}, wire.Set{{From: uid, To: uid}})
	}
	if len(s.diff.flags) == 0 {
		return nil
	}
	since, known, err := v.flaggedSince(s)
	if err != nil {
		return err
	}
	groups := map[pair]*[2]wire.Set{} // what differs by itself, and what the user has changed
	for src, set := range s.diff.flags {
		for uid := range set.All() {
			p := pair{src, s.dst.find(uid).flags}
			if groups[p] == nil {
				groups[p] = new([2]wire.Set)
			}
			i := 0
			if v.onTarget && (!known || since.Contains(uid)) {
				i = 1
			}
			groups[p][i].Add(uid)
		}
	}
	v.sayFlags(s.name, groups, known)
	return nil
}

func (v *verification) sayFlags(folder string, groups map[pair]*[2]wire.Set, known bool) {
	pairs := make([]pair, 0, len(groups))
	for p := range groups {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(string(a.src), string(b.src)); c != 0 {
			return c
		}
		return strings.Compare(string(a.dst), string(b.dst))
	})
	for _, p := range pairs {
		d := Difference{Kind: KindFlags, Folder: folder, Source: string(p.src), Target: string(p.dst), Text: both(string(p.src), string(p.dst))}
		v.sayUIDs(d, groups[p][0])
		d.Note = true
		if d.Text += "; changed in the target since the switch"; !known {
			d.Text += ", or not: without CONDSTORE that cannot be told"
		}
		v.sayUIDs(d, groups[p][1])
	}
}

// flaggedSince asks the target which of the messages that differ in flags were changed since the last proof (RFC 7162,
// section 3.1.4.1). known is false if the target cannot tell. Before the switch nobody but the worker changes flags
// there, so it is not asked.
func (v *verification) flaggedSince(s *sides) (since wire.Set, known bool, err error) {
	n, err := readNote(s.proven)
	if err != nil || !v.onTarget || n.ModSeq == 0 || !v.dst.caps.Has("CONDSTORE") && !v.dst.caps.Has("QRESYNC") {
		return nil, false, err
	}
	for _, part := range s.diff.flagged().Split(maxSetText) {
		_, err := v.dst.do(func(r response) error {
			if r.word != "FETCH" {
				return nil
			}
			var m message
			if err := parseFetch(r.d, &m, nil); err != nil {
				return err
			}
			since.Add(m.uid)
			return nil
		}, "UID FETCH", part.String(), fmt.Sprintf("(UID FLAGS) (CHANGEDSINCE %d)", n.ModSeq))
		if err != nil {
			return nil, false, fmt.Errorf("ask target for changed flags in %s: %w", wire.Quoted(s.name), err)
		}
	}
	return since, true, nil
}

// bodies compares messages that are on both sides, all or a sample. The folder is still open.
func (v *verification) bodies(s *sides) error {
	if v.ask.Bodies == VerifyNone {
		return nil
	}
	var uids wire.Set
	for _, m := range pick(s.src, s.next, v.ask.Bodies == VerifyAll) {
		if s.dst.find(m.uid) != nil {
			uids.Add(m.uid)
		}
	}
	uids = v.replacedIn(s.name, uids)
	var differ wire.Set
	for _, part := range uids.Split(maxSetText) {
		sums, err := v.digests(part)
		if notGiven(err, part) {
			sums, err = v.oneByOne(s.name, part)
		}
		if err != nil {
			return err
		}
		for uid := range part.All() {
			src, inSrc := sums[0][uid]
			dst, inDst := sums[1][uid]
			if !inSrc || !inDst { // expunged just now
				continue
			}
			v.sum.BodiesRead++
			if src != dst {
				differ.Add(uid)
			}
		}
	}
	v.sayUIDs(Difference{Kind: KindBody, Folder: s.name, Text: "the target's message differs from the source's"}, differ)
	return nil
}

// digests reads the same bodies from both sides at once.
func (v *verification) digests(uids wire.Set) (sums [2]map[uint32]digest, err error) {
	var g errgroup.Group
	for i, c := range []*client{v.src, v.dst} {
		g.Go(func() (err error) {
			sums[i], err = c.digests(uids)
			return err
		})
	}
	return sums, g.Wait()
}

// oneByOne is digests where a side does not give some of the bodies, in a folder that is open. It tells of those: nothing can be
// said of them.
func (v *verification) oneByOne(folder string, uids wire.Set) (all [2]map[uint32]digest, err error) {
	all = [2]map[uint32]digest{{}, {}}
	if err := v.openAgain(folder); err != nil {
		return all, err
	}
	for uid := range uids.All() {
		this := wire.Set{{From: uid, To: uid}}
		sums, err := v.digests(this)
		if notGiven(err, this) {
			v.sayUIDs(Difference{Kind: KindBody, Folder: folder, Text: "cannot be compared: " + err.Error()}, this)
			if err = v.openAgain(folder); err == nil {
				continue
			}
		}
		if err != nil {
			return all, err
		}
		for i := range all {
			maps.Copy(all[i], sums[i])
		}
	}
	return all, nil
}

func instant(m *message) string { return m.date.UTC().Format(time.RFC3339) }

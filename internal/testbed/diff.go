package testbed

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// DiffOptions says which differences are none. The zero value wants everything
// equal.
type DiffOptions struct {
	IgnoreUIDValidity bool                   // fidelity translated: the relay rewrites it
	UIDNextNotLower   bool                   // the second account may be ahead
	IgnoreModSeq      bool                   // HIGHESTMODSEQ does not matter
	ModSeqNotLower    bool                   // the second account may be ahead
	IgnoreAttrs       bool                   // special use does not matter
	IgnoreFolder      func(name string) bool // these are not looked at on either side
}

// Diff returns every difference from a to b, one per line, sorted by folder:
//
//	INBOX uid 17: flags [\Seen] != []
func Diff(a, b *Account, opt DiffOptions) []string {
	d := &differ{DiffOptions: opt}
	for _, name := range union(a.Folders, b.Folders) {
		if opt.IgnoreFolder == nil || !opt.IgnoreFolder(name) {
			d.folder(name, a.Folders[name], b.Folders[name])
		}
	}
	d.subscriptions(a.Subscribed, b.Subscribed)
	return d.lines
}

type differ struct {
	DiffOptions
	lines []string
}

func (d *differ) say(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *differ) folder(name string, a, b *Folder) {
	switch {
	case b == nil:
		d.say("%s: only in the first, with %d messages", name, len(a.Messages))
		return
	case a == nil:
		d.say("%s: only in the second, with %d messages", name, len(b.Messages))
		return
	}
	if !d.IgnoreAttrs && !slices.Equal(a.Attrs, b.Attrs) {
		d.say("%s: attributes %v != %v", name, a.Attrs, b.Attrs)
	}
	if a.Selectable != b.Selectable {
		d.say("%s: selectable %t != %t", name, a.Selectable, b.Selectable)
	}
	if !d.IgnoreUIDValidity && a.UIDValidity != b.UIDValidity {
		d.say("%s: UIDVALIDITY %d != %d", name, a.UIDValidity, b.UIDValidity)
	}
	if a.UIDNext != b.UIDNext && (!d.UIDNextNotLower || b.UIDNext < a.UIDNext) {
		d.say("%s: UIDNEXT %d != %d", name, a.UIDNext, b.UIDNext)
	}
	if a.HighestModSeq != b.HighestModSeq && !d.IgnoreModSeq && (!d.ModSeqNotLower || b.HighestModSeq < a.HighestModSeq) {
		d.say("%s: HIGHESTMODSEQ %d != %d", name, a.HighestModSeq, b.HighestModSeq)
	}
	for _, uid := range union(a.Messages, b.Messages) {
		d.message(name, uid, a, b)
	}
}

func (d *differ) message(name string, uid uint32, a, b *Folder) {
	m, inA := a.Messages[uid]
	n, inB := b.Messages[uid]
	switch {
	case !inB:
		d.say("%s uid %d: only in the first", name, uid)
		return
	case !inA:
		d.say("%s uid %d: only in the second", name, uid)
		return
	}
	if m.Flags != n.Flags {
		d.say("%s uid %d: flags [%s] != [%s]", name, uid, m.Flags, n.Flags)
	}
	if !m.InternalDate.Equal(n.InternalDate) {
		d.say("%s uid %d: INTERNALDATE %s != %s", name, uid, instant(m.InternalDate), instant(n.InternalDate))
	}
	if m.Size != n.Size {
		d.say("%s uid %d: RFC822.SIZE %d != %d", name, uid, m.Size, n.Size)
	}
	if m.Sum != n.Sum {
		d.say("%s uid %d: BODY[] %.12s != %.12s", name, uid, m.Sum, n.Sum)
	}
}

func (d *differ) subscriptions(a, b []string) {
	for _, name := range a {
		if !slices.Contains(b, name) {
			d.say("%s: subscribed only in the first", name)
		}
	}
	for _, name := range b {
		if !slices.Contains(a, name) {
			d.say("%s: subscribed only in the second", name)
		}
	}
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// union returns the keys of both maps, sorted.
func union[K interface{ ~string | ~uint32 }, V any](a, b map[K]V) []K {
	all := maps.Clone(a)
	if all == nil {
		all = map[K]V{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

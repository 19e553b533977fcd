package migrate

import (
	"fmt"
	"strings"

	"imapferry/internal/wire"
)

// difference is what has to be done to a target folder to make it equal to the source's, for messages below a UID.
type difference struct {
	missing wire.Set           // in the source, not in the target: cannot be mended, the folder has to be copied anew
	extra   wire.Set           // in the target, not in the source: to be expunged
	flags   map[flags]wire.Set // flags that the target has to set, and where
	dates   wire.Set           // INTERNALDATE differs: cannot be mended

	listed   digest // of the source's listing
	unlisted bool   // the source lists more or fewer messages than it says to have: nothing is proven (I1)
}

// compare tells how dst differs from src in UIDs below next. Both are in order of UID.
func compare(src, dst listing, next uint32) difference {
	d := difference{flags: map[flags]wire.Set{}}
	for len(src) > 0 || len(dst) > 0 {
		switch {
		case len(dst) == 0 || len(src) > 0 && src[0].uid < dst[0].uid:
			if src[0].uid < next {
				d.missing.Add(src[0].uid)
			}
			src = src[1:]
		case len(src) == 0 || dst[0].uid < src[0].uid:
			if dst[0].uid < next {
				d.extra.Add(dst[0].uid)
			}
			dst = dst[1:]
		default:
			if src[0].uid < next {
				d.both(&src[0], &dst[0])
			}
			src, dst = src[1:], dst[1:]
		}
	}
	return d
}

func (d *difference) both(src, dst *message) {
	if !src.flags.same(dst.flags) {
		d.flag(src.flags, src.uid)
	}
	if src.odd || !src.date.Equal(dst.date) {
		d.dates.Add(src.uid)
	}
}

// flag adds that the target has to set f on uid.
func (d *difference) flag(f flags, uid uint32) {
	set := d.flags[f]
	set.Add(uid)
	d.flags[f] = set
}

// flagged returns all messages whose flags differ.
func (d *difference) flagged() (s wire.Set) {
	for _, set := range d.flags {
		s.AddSet(set)
	}
	return s
}

// empty reports whether there is nothing to do.
func (d *difference) empty() bool {
	return len(d.missing) == 0 && len(d.extra) == 0 && len(d.flags) == 0 && len(d.dates) == 0 && !d.unlisted
}

// size counts the messages concerned.
func (d *difference) size() (n uint64) {
	n = d.missing.Len() + d.extra.Len() + d.dates.Len()
	for _, set := range d.flags {
		n += set.Len()
	}
	return n
}

// String tells the difference to an operator, in short.
func (d *difference) String() string {
	var parts []string
	add := func(what string, set wire.Set) {
		if len(set) > 0 {
			parts = append(parts, fmt.Sprintf("%s uid %s", what, short(set)))
		}
	}
	add("missing", d.missing)
	add("too many:", d.extra)
	add("other date:", d.dates)
	add("other flags:", d.flagged())
	return strings.Join(parts, ", ")
}

func short(s wire.Set) string {
	text := s.String()
	if len(text) <= 60 {
		return text
	}
	return text[:strings.LastIndexByte(text[:60], ',')+1] + "…"
}

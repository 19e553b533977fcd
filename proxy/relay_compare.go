package proxy

import (
	"fmt"
	"slices"
	"strings"

	"imapferry/internal/wire"
)

// became compares what the client knows, v, with the mailbox at the target, and returns what the client must be told so
// that it knows that one instead. A difference that cannot be told in IMAP is an error.
func (v *view) became(at *view, p place) (rest owed, err error) {
	if !p.selected {
		return owed{}, nil
	}
	d := &difference{before: v.messages, after: at.messages, touched: v.touched}
	if err := d.match(); err != nil {
		return owed{}, err
	}
	rest = d.removals(p.enables("QRESYNC"))
	rest.news = at.news.flagNews(p)
	if d.added > 0 {
		rest.news = fmt.Appendf(rest.news, "* %d EXISTS\r\n", len(d.before)+d.added)
	}
	rest.news = d.flagChanges(rest.news, rest.gone, p.mods)
	return rest, nil
}

// flagNews tells which flags there are in the mailbox, and which can be kept, where the source has said something else.
func (n *newsOf) flagNews(p place) (lines []byte) {
	if n.flags != "" && !sameWords(n.flags, p.flags) {
		lines = fmt.Appendf(lines, "* FLAGS %s\r\n", n.flags)
	}
	if n.permanent != "" && !sameWords(n.permanent, p.permanent) {
		lines = fmt.Appendf(lines, "* OK [PERMANENTFLAGS %s] Flags permitted.\r\n", n.permanent)
	}
	return lines
}

// sameWords compares two lists of flags.
func sameWords(a, b string) bool {
	sorted := func(s string) []string {
		words := strings.Fields(strings.ToLower(strings.Trim(s, "()")))
		slices.Sort(words)
		return slices.Compact(words)
	}
	return slices.Equal(sorted(a), sorted(b))
}

// difference is how the client's messages become those of the target.
type difference struct {
	before, after []message
	touched       map[uint32]bool

	removed []int // indexes in before
	changed []int // indexes in after
	added   int   // at the end of after
}

// match pairs messages by UID. What the target has more may only be at the end: new messages. One that the source had
// removed before it could be asked for its UID counts as removed, but where the target has exactly as many between its
// neighbours, they are still there.
func (d *difference) match() error {
	i, j := 0, 0
	for i < len(d.before) {
		from := i
		for i < len(d.before) && d.before[i].uid == 0 {
			i++
		}
		unknown := i - from
		begin := j
		if i < len(d.before) {
			for j < len(d.after) && d.after[j].uid < d.before[i].uid {
				j++
			}
			if between := j - begin; between > 0 && between != unknown {
				return cannot(atView, "the target has message %d, of which the client does not know", d.after[begin].uid)
			}
		}
		for k := range unknown {
			if j > begin { // only with as many between the neighbours
				d.changed = append(d.changed, begin+k)
			} else {
				d.removed = append(d.removed, from+k)
			}
		}
		if i == len(d.before) {
			break
		}
		if j < len(d.after) && d.after[j].uid == d.before[i].uid {
			d.compare(d.before[i], j)
			j++
		} else {
			d.removed = append(d.removed, i)
		}
		i++
	}
	d.added = len(d.after) - j
	return nil
}

// compare notes a message whose flags the client does not know.
func (d *difference) compare(m message, j int) {
	if m.flags == nil || m.flags.sorted != d.after[j].flags.sorted || d.touched[m.uid] {
		d.changed = append(d.changed, j)
	}
}

// removals returns what is owed.
func (d *difference) removals(qresync bool) (o owed) {
	var gone wire.Set
	for _, i := range d.removed {
		o.gone = append(o.gone, uint32(i+1))
		qresync = qresync && d.before[i].uid != 0
		gone.Add(d.before[i].uid)
	}
	if qresync && len(o.gone) > 0 {
		o.lines = fmt.Appendf(nil, "* VANISHED %s\r\n", gone)
		return o
	}
	o.lines = o.gone.lines()
	return o
}

// flagChanges tells the flags of changed messages.
func (d *difference) flagChanges(lines []byte, gone numbers, mods bool) []byte {
	for _, j := range d.changed {
		m := d.after[j]
		lines = fmt.Appendf(lines, "* %d FETCH (UID %d FLAGS (%s)", gone.atClient(uint32(j+1)), m.uid, m.flags.spelt)
		if mods {
			lines = fmt.Appendf(lines, " MODSEQ (%d)", m.mod)
		}
		lines = append(lines, ")\r\n"...)
	}
	return lines
}

package proxy

// view undoes the news: of the messages listed the client knows those that it counted before, and those that were removed since.
func (n *newsOf) view() (*view, error) {
	v := &view{touched: n.again, saved: n.search}
	var err error
	switch {
	case len(n.gone) == 0:
		v.messages, err = n.undoNumbered(v.touched)
	case len(n.events) > 0: // RFC 7162, 3.2.10: who says VANISHED says no EXPUNGE, and UIDs in every FETCH
		err = cannot(atView, "VANISHED beside responses without UIDs")
	default:
		v.messages, err = n.undoVanished()
	}
	return v, err
}

// undoVanished puts back what has gone by UID.
func (n *newsOf) undoVanished() ([]message, error) {
	known := n.counted - int(n.gone.Len())
	if known < 0 || known > len(n.list) {
		return nil, n.mismatch(known)
	}
	all := make([]message, 0, n.counted)
	rest := n.list[:known]
	for uid := range n.gone.All() {
		for len(rest) > 0 && rest[0].uid < uid {
			all, rest = append(all, rest[0]), rest[1:]
		}
		if len(rest) > 0 && rest[0].uid == uid {
			return nil, cannot(atView, "message %d has vanished and is listed", uid)
		}
		all = append(all, message{uid: uid})
	}
	return append(all, rest...), nil
}

// undoNumbered puts back what was removed by number, without its UID, and notes in touched whose flags were told by number.
func (n *newsOf) undoNumbered(touched map[uint32]bool) ([]message, error) {
	total := max(n.counted, n.exists+n.removed) // with messages that came meanwhile, at the end
	if len(n.events) == 0 {
		if n.counted > len(n.list) {
			return nil, n.mismatch(n.counted)
		}
		return n.list[:n.counted], nil
	}
	if total > maxView+maxNews {
		return nil, cannot(atView, "%d messages are too many to compare", total)
	}
	const removed, told = 1, 2
	what := make([]byte, total) // by index before any removal
	left := newRanks(total)
	for _, e := range n.events {
		at, ok := left.find(e.number)
		if !ok {
			return nil, cannot(atView, "the source speaks of message %d, of which there is none", e.number)
		}
		if e.removes {
			left.remove(at)
			what[at] |= removed
		} else {
			what[at] |= told
		}
	}
	all := make([]message, 0, n.counted)
	list := n.list
	for _, w := range what[:n.counted] {
		switch {
		case w&removed != 0:
			all = append(all, message{})
			continue
		case len(list) == 0:
			return nil, n.mismatch(n.counted - n.removed)
		case w&told != 0:
			touched[list[0].uid] = true
		}
		all, list = append(all, list[0]), list[1:]
	}
	return all, nil
}

func (n *newsOf) mismatch(known int) error {
	return cannot(atView, "the source lists %d messages; the client knows %d, of which %d are left", len(n.list), n.counted, known)
}

// ranks knows which of many things is the n-th of those that are left, by sums over ranges (a Fenwick tree).
type ranks struct {
	sums []int32 // sums[i] counts what is left of the i&-i things up to the i-th
	top  int     // the highest power of two in len(sums)-1
}

func newRanks(n int) *ranks {
	r := &ranks{sums: make([]int32, n+1), top: 1}
	for i := 1; i <= n; i++ {
		r.sums[i] = int32(i & -i)
	}
	for r.top*2 <= n {
		r.top *= 2
	}
	return r
}

// find returns the index of the n-th, counted from 1, of those that are left.
func (r *ranks) find(n int) (at int, ok bool) {
	if n < 1 {
		return 0, false
	}
	for step := r.top; step > 0; step /= 2 {
		if next := at + step; next < len(r.sums) && int(r.sums[next]) < n {
			at, n = next, n-int(r.sums[next])
		}
	}
	return at, at < len(r.sums)-1
}

// remove takes away what stands at an index.
func (r *ranks) remove(at int) {
	for i := at + 1; i < len(r.sums); i += i & -i {
		r.sums[i]--
	}
}

package wire

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Range is an inclusive range of UIDs or sequence numbers.
type Range struct{ From, To uint32 }

// Len returns how many numbers r holds.
func (r Range) Len() uint64 { return uint64(r.To) - uint64(r.From) + 1 }

// Set is a set of numbers as sorted ranges that neither overlap nor touch. The zero value is empty.
type Set []Range

// Add puts n into the set. Adding in ascending order costs nothing.
func (s *Set) Add(n uint32) { s.AddRange(n, n) }

// AddRange puts from to to into the set.
func (s *Set) AddRange(from, to uint32) {
	t := *s
	if last := len(t) - 1; last < 0 || uint64(from) > uint64(t[last].To)+1 {
		*s = append(t, Range{from, to})
		return
	} else if from >= t[last].From {
		t[last].To = max(t[last].To, to)
		return
	}
	// i is the first range that [from, to] may touch, j the first one after all that it touches.
	i, _ := slices.BinarySearchFunc(t, from, func(r Range, n uint32) int { return cmp64(uint64(r.To)+1, uint64(n)) })
	j := i
	for j < len(t) && uint64(t[j].From) <= uint64(to)+1 {
		from, to = min(from, t[j].From), max(to, t[j].To)
		j++
	}
	*s = slices.Replace(t, i, j, Range{from, to})
}

// AddSet puts all of o into the set.
func (s *Set) AddSet(o Set) {
	for _, r := range o {
		s.AddRange(r.From, r.To)
	}
}

func cmp64(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Contains reports whether n is in the set.
func (s Set) Contains(n uint32) bool {
	i, found := slices.BinarySearchFunc(s, n, func(r Range, n uint32) int { return cmp64(uint64(r.From), uint64(n)) })
	return found || i > 0 && s[i-1].To >= n
}

// Len returns how many numbers the set holds.
func (s Set) Len() (n uint64) {
	for _, r := range s {
		n += r.Len()
	}
	return n
}

// Max returns the largest number, 0 if the set is empty.
func (s Set) Max() uint32 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].To
}

// All yields the numbers in ascending order.
func (s Set) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for _, r := range s {
			for n := uint64(r.From); n <= uint64(r.To); n++ {
				if !yield(uint32(n)) {
					return
				}
			}
		}
	}
}

// Split cuts the set into sets whose text is at most max bytes long, because servers bound the length of a line.
func (s Set) Split(max int) []Set {
	var out []Set
	start, size := 0, 0
	for i, r := range s {
		n := len(r.String()) + 1
		if size+n > max && i > start {
			out = append(out, s[start:i])
			start, size = i, 0
		}
		size += n
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// String returns the set as IMAP writes it: "1:3,7".
func (s Set) String() string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// String returns "7" or "1:3".
func (r Range) String() string {
	if r.From == r.To {
		return strconv.FormatUint(uint64(r.From), 10)
	}
	return strconv.FormatUint(uint64(r.From), 10) + ":" + strconv.FormatUint(uint64(r.To), 10)
}

// ParseSet reads a set without "*", as responses carry it. Ranges may come in any order and either way round.
func ParseSet(text string) (Set, error) {
	var s Set
	for part := range strings.SplitSeq(text, ",") {
		a, b, isRange := strings.Cut(part, ":")
		from, err := parseNumber(a)
		to := from
		if err == nil && isRange {
			to, err = parseNumber(b)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: set %s", ErrSyntax, Quoted(clip([]byte(text))))
		}
		s.AddRange(min(from, to), max(from, to))
	}
	return s, nil
}

func parseNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 0 {
		err = ErrSyntax
	}
	return uint32(n), err
}

package imapmodel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxSet bounds how many numbers a set may stand for.
const maxSet = 1 << 20

// parseSet reads a sequence set without "*" (RFC 9051: sequence-set), in its order.
func parseSet(text string) ([]uint32, error) {
	var all []uint32
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, ":")
		a, err := number(from)
		if err != nil {
			return nil, fmt.Errorf("set %q: %w", text, err)
		}
		b := a
		if isRange {
			if b, err = number(to); err != nil {
				return nil, fmt.Errorf("set %q: %w", text, err)
			}
		}
		a, b = min(a, b), max(a, b)
		if int(b-a)+len(all) > maxSet {
			return nil, fmt.Errorf("set %q stands for too many", text)
		}
		for n := uint64(a); n <= uint64(b); n++ {
			all = append(all, uint32(n))
		}
	}
	return all, nil
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err == nil && n == 0 {
		err = fmt.Errorf("zero is no number of a message")
	}
	return uint32(n), err
}

// formatSet writes numbers as a set, ranges where they are neighbours.
func formatSet(numbers []uint32) string {
	sorted := slices.Clone(numbers)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	var b strings.Builder
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, sorted[i])
		if j > i {
			fmt.Fprintf(&b, ":%d", sorted[j])
		}
		i = j + 1
	}
	return b.String()
}

package redisstate

import "slices"

// excerpt is what a set has of something, in order. If more was left out behind it, it is cut.
type excerpt[T any] struct {
	list []T
	cut  bool
}

// parseExcerpt reads what a script returns of a set: whether it is cut, and then so many texts for each that is in it.
func parseExcerpt[T any](v any, size int, parse func(texts []string) (T, error)) (p excerpt[T], err error) {
	all, err := texts(v)
	if err != nil || len(all) == 0 {
		return p, err
	}
	p.cut = all[0] != ""
	for piece := range slices.Chunk(all[1:], size) {
		one, err := parse(piece)
		if err != nil {
			return p, err
		}
		p.list = append(p.list, one)
	}
	return p, nil
}

// merge returns what surely comes first, which is up to where the first excerpt is cut, and whether there may be more.
func merge[T any](excerpts []excerpt[T], compare func(a, b T) int) (first []T, more bool) {
	var sure T
	for _, p := range excerpts {
		if p.cut {
			if last := p.list[len(p.list)-1]; !more || compare(last, sure) < 0 {
				sure = last
			}
			more = true
		}
		first = append(first, p.list...)
	}
	slices.SortFunc(first, compare)
	if more {
		end, _ := slices.BinarySearchFunc(first, sure, compare)
		first = first[:end+1]
	}
	return first, more
}

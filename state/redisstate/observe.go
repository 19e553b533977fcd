package redisstate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"imapferry/state"
)

// life is an entry of the registry, and for how long this process has seen its beat stand still.
type life struct {
	state.Node
	beat   string        // of the last Beat, or of Join: random, since masters that have diverged would count to the same (the model's PLAIN_COUNTER)
	ttl    time.Duration // what was promised with it
	since  time.Time     // it joined, by the store's clock; only told
	silent time.Duration
}

// dead reports whether the incarnation may be buried.
func (l life) dead() bool { return l.silent > l.ttl+state.Margin(l.ttl) }

// parseLives reads HGETALL of the registry.
func parseLives(v any) ([]life, error) {
	pairs, err := texts(v)
	if err != nil {
		return nil, err
	}
	var all []life
	for i := 0; i+1 < len(pairs); i += 2 {
		l := life{Node: state.Node{Name: pairs[i]}}
		words := strings.Split(pairs[i+1], " ")
		if len(words) != 4 {
			return nil, fmt.Errorf("node %s: entry %q is none of this version", pairs[i], pairs[i+1])
		}
		ttl, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", l.Name, err)
		}
		since, err := strconv.ParseInt(words[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", l.Name, err)
		}
		l.Incarnation, l.beat = words[0], words[1]
		l.ttl, l.since = time.Duration(ttl)*time.Microsecond, time.Unix(since, 0)
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b life) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// observer is what this process has seen of the nodes' beats. Go's clock stands still while the host sleeps, and so does the observer:
// it only buries later for that.
type observer struct {
	mu   sync.Mutex
	seen map[string]sighting // guarded by mu; by name
}

// sighting is a beat, and when it was seen first.
type sighting struct {
	life
	first time.Time
}

// note takes note of what a look has found, and tells for how long each beat has stood still. A beat that was not seen before stands still
// from now on, which is after the look: it is at least as old. Looks that overtake each other make it younger, never older.
func (o *observer) note(found []life) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := make(map[string]sighting, len(found))
	for i, l := range found {
		s, ok := o.seen[l.Name]
		if !ok || s.life != l {
			s = sighting{l, now}
		}
		seen[l.Name] = s
		found[i].silent = now.Sub(s.first)
	}
	o.seen = seen
}

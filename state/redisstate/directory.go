package redisstate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// table says which server is the master of which slots.
type table struct {
	parts  []part
	others []string // servers that are no masters, and may be asked too
	epoch  int64    // the higher the newer, of tables that different servers give
}

// part is a range of slots of one master.
type part struct {
	first, last int
	addr        string
}

// whole returns the table of a store with one master.
func whole(addr string, epoch int64) *table {
	return &table{parts: []part{{0, slots - 1, addr}}, epoch: epoch}
}

// of returns the master of a slot.
func (t *table) of(slot int) (addr string, err error) {
	for _, p := range t.parts {
		if p.first <= slot && slot <= p.last {
			return p.addr, nil
		}
	}
	return "", fmt.Errorf("no server of the Cluster has slot %d", slot)
}

// masters returns all, in order.
func (t *table) masters() []string {
	all := map[string]bool{}
	for _, p := range t.parts {
		all[p.addr] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// directory knows who is the master, and asks again when there is reason to doubt it: nobody is told of a failover.
type directory struct {
	ask    func(context.Context) (*table, error) // nil if nothing can change
	onNews func(*table)                          // called with turn
	turn   chan struct{}                         // whoever has put something in may ask

	mu      sync.Mutex
	known   *table // nil before the first answer
	doubted bool
	asked   int           // how often there was an answer, of whatever kind
	news    chan struct{} // closed when the masters are others
}

func newDirectory(known *table, ask func(context.Context) (*table, error), onNews func(*table)) *directory {
	return &directory{known: known, ask: ask, onNews: onNews, turn: make(chan struct{}, 1), news: make(chan struct{})}
}

// table returns what is known, asking if nothing is or if it is in doubt. If nobody answers, what was known before is still the best.
func (d *directory) table(ctx context.Context) (*table, error) {
	known, asked, enough := d.look(-1)
	if enough {
		return known, nil
	}
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-d.turn }()
	if known, _, enough = d.look(asked); enough {
		return known, nil
	}
	fresh, err := d.ask(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if err != nil {
		if d.known != nil {
			return d.known, nil
		}
		return nil, err
	}
	d.doubted = false
	before := d.known
	d.known = fresh
	if before == nil || !slices.Equal(before.masters(), fresh.masters()) {
		d.onNews(fresh)
		close(d.news)
		d.news = make(chan struct{})
	}
	return fresh, nil
}

// look returns what is known, and whether that is enough: it is in no doubt, or somebody else has asked since asked.
func (d *directory) look(asked int) (*table, int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh := !d.doubted || asked >= 0 && asked != d.asked || d.ask == nil
	return d.known, d.asked, d.known != nil && fresh
}

// doubt makes the next call ask.
func (d *directory) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doubted = true
}

// changed returns a channel that is closed when the masters are others than now.
func (d *directory) changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.news
}

// askWithin bounds how long whoever is asked for a table may take: one that is cut off must not hold up the rest.
const askWithin = time.Second

// newest asks all servers at once and returns the table with the highest epoch: one that is cut off from the others gives an old one.
func newest(ctx context.Context, addrs []string, ask func(ctx context.Context, addr string) (*table, error)) (*table, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	tables, errs := make([]*table, len(addrs)), make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { tables[i], errs[i] = ask(ctx, addr) })
	}
	wg.Wait()
	var best *table
	for _, t := range tables {
		if t != nil && (best == nil || t.epoch > best.epoch) {
			best = t
		}
	}
	if best != nil {
		return best, nil
	}
	var texts []string
	for i, err := range errs {
		texts = append(texts, fmt.Sprintf("%s: %v", addrs[i], err))
	}
	return nil, errors.New(strings.Join(texts, "; "))
}

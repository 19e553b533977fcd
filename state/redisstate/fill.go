package redisstate

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

// fillBytes is how much is gathered, for all tags together, before it is sent. While a server runs its share, all others wait.
const fillBytes = 1 << 20

// load is what is gathered for one tag, and how much was written there before.
type load struct {
	mark   string // key
	parts  int    // written
	keys   []string
	number map[string]int // of a key
	args   []any
}

// filler gathers what an import writes, by tag, and sends it at once to all of them. There is one part under way for each, so the parts come in their order whatever
// has to be repeated.
type filler struct {
	store *Store
	mark  string
	tags  [shards + 1]load // the last is that of the claims
	bytes int
	limit int // of bytes
}

const claimsTag = shards

func newFiller(s *Store, mark string) *filler {
	f := &filler{store: s, mark: mark, limit: fillBytes}
	for n := range f.tags {
		f.tags[n].mark = markOf(n)
		f.tags[n].clear()
	}
	return f
}

// markOf returns the key that has a tag's mark.
func markOf(tag int) string {
	if tag == claimsTag {
		return claimsImportKey
	}
	return inShard(tag, "id")
}

func (p *load) clear() { p.keys, p.number, p.args = []string{p.mark}, map[string]int{}, nil }

// reads returns what the mark of p is after so many parts.
func (f *filler) reads(parts int) string { return f.mark + " " + strconv.Itoa(parts) }

// add gathers a command.
func (f *filler) add(tag int, command, key string, words ...any) {
	p := &f.tags[tag]
	n, ok := p.number[key]
	if !ok {
		p.keys = append(p.keys, key)
		n = len(p.keys)
		p.number[key] = n
		f.bytes += len(key)
	}
	p.args = append(append(p.args, command, n, len(words)), words...)
	for _, w := range words {
		switch w := w.(type) {
		case string:
			f.bytes += len(w)
		case []byte:
			f.bytes += len(w)
		}
	}
	f.bytes += 8 * len(words)
}

// flush sends what is gathered, if that is enough or everything is wanted.
func (f *filler) flush(ctx context.Context, all bool) error {
	if f.bytes < f.limit && !all {
		return nil
	}
	var queries []query
	for n := range f.tags {
		if p := &f.tags[n]; len(p.args) > 0 {
			queries = append(queries, query{p.keys, append([]any{f.reads(p.parts), f.reads(p.parts + 1)}, p.args...)})
			p.parts++
			p.clear()
		}
	}
	f.bytes = 0
	return f.store.eachOK(ctx, fillScript, queries)
}

// whole returns an error unless everything that was sent is there.
func (f *filler) whole(ctx context.Context) error {
	queries := make([]query, len(f.tags))
	for n, p := range f.tags {
		queries[n] = query{[]string{p.mark}, []any{f.reads(p.parts)}}
	}
	return f.store.eachOK(ctx, markedScript, queries)
}

// eachOK is all for scripts that answer with a code.
func (s *Store) eachOK(ctx context.Context, script *redis.Script, queries []query) error {
	answers, err := s.all(ctx, script, queries)
	if err != nil {
		return err
	}
	for _, v := range answers {
		if _, err := coded(v); err != nil {
			return err
		}
	}
	return nil
}

var (
	errTorn  = errors.New("something that the import has written is gone, or another import has begun: import again")
	errTwice = fmt.Errorf("a user came twice: %w", state.ErrInvalid)
)

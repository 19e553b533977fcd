package redisstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"imapferry/state"
)

// Import is a Redis that is being filled. Its methods are not safe for concurrent use.
type Import struct {
	store *Store
	id    string
	mark  string // in the place of the id
	fill  *filler
	nodes []any  // of the roster
	user  string // whose folders and exceptions come now
}

var _ state.Import = (*Import)(nil)

// StartImport makes the Redis at rawURL one that is being filled with the content of the store with this id. waits is that of
// state.Exporter. Accepted runs are forgotten, and the roster becomes that of the content.
//
//	ferry:{nodes}:id       that of an empty store, a former import's mark, or nothing ─► import:MARK    ─► fresh:ID ─► ID
//	ferry:{07}:id          the same                                                   ─► import:MARK 17 ──────────────► ID
//	ferry:{claims}import   a former import's mark, or nothing                         ─► import:MARK 17
//
// A number tells how many parts were written there (fill.go). From the first step on no node can join, from the second on no record be made by a process that has
// opened the empty store before. The mark of the claims stays and has no meaning afterwards.
func StartImport(ctx context.Context, rawURL, id string, opts Options, waits func(node string, left time.Duration)) (*Import, error) {
	if strings.Contains(id, ":") {
		return nil, fmt.Errorf("import: id %q: %w", id, state.ErrInvalid)
	}
	s, name, err := dial(rawURL, opts)
	if err != nil {
		return nil, err
	}
	if err := s.greet(ctx, opts.Log, name); err != nil {
		return nil, errors.Join(fmt.Errorf("import into %s: %w", name, err), s.Close())
	}
	i := newImport(s, id)
	if err := i.take(ctx, waits); err != nil {
		return nil, errors.Join(fmt.Errorf("import into %s: %w", name, err), s.Close())
	}
	return i, nil
}

func newImport(s *Store, id string) *Import {
	i := &Import{store: s, id: id, mark: importing + rand.Text()}
	i.fill = newFiller(s, i.mark)
	return i
}

// take takes the store for this import. What another import has left is cleared away.
func (i *Import) take(ctx context.Context, waits func(string, time.Duration)) error {
	s := i.store
	v, err := s.eval(ctx, identifyScript, idKeys(nodesIDKey), "", "")
	if err != nil {
		return err
	}
	has := fmt.Sprint(v)
	left := strings.HasPrefix(has, importing)
	if !left {
		if err := i.empty(ctx, has, waits); err != nil {
			return err
		}
	}
	if _, err := s.call(ctx, takeScript, []string{livesKey, nodesIDKey, nodesRunKey, nodesRosterKey}, has, i.mark); err != nil {
		return err
	}
	if err := s.eachOK(ctx, markScript, perShard(emptyKeys, []any{importing, i.mark})); err != nil {
		return err
	}
	if _, err := s.call(ctx, markClaimsScript, []string{claimsImportKey}, i.mark); err != nil || !left {
		return err
	}
	return i.clear(ctx)
}

func emptyKeys(shard int) []string {
	return append(append([]string{inShard(shard, "id")}, phaseKeys(shard)...), runKey(shard), inShard(shard, "roster"))
}

// empty returns an error if the store holds anything, or if a node is alive on it. has is what it has in place of an id.
func (i *Import) empty(ctx context.Context, has string, waits func(string, time.Duration)) error {
	s := i.store
	err := s.eachOK(ctx, lookEmptyScript, perShard(emptyKeys, []any{importing}))
	if err == nil {
		err = s.eachClaim(ctx, func(string, string) error { return state.ErrNotEmpty })
	}
	if err != nil || has == "" {
		return err
	}
	s.id = has
	return s.quiet(ctx, waits)
}

// clear deletes what an import has left.
func (i *Import) clear(ctx context.Context) error {
	if err := i.store.eachPhase(ctx, func(key string) error { return i.clearPhase(ctx, key) }); err != nil {
		return err
	}
	var queries []query
	send := func() error {
		err := i.store.eachOK(ctx, unclaimScript, queries)
		queries = nil
		return err
	}
	err := i.store.eachClaim(ctx, func(token, _ string) error {
		queries = append(queries, query{[]string{claimKey(token), claimsImportKey}, []any{i.fill.reads(0)}})
		if len(queries) < exportKeys {
			return nil
		}
		return send()
	})
	if err != nil {
		return err
	}
	return send()
}

func (i *Import) clearPhase(ctx context.Context, key string) error {
	for {
		v, err := i.store.eval(ctx, namesScript, []string{key}, "-", exportUsers)
		if err != nil {
			return err
		}
		users, err := texts(v)
		if err != nil || len(users) == 0 {
			return err
		}
		queries := make([]query, len(users))
		for n, u := range users {
			queries[n] = query{append(exceptionKeys(u), idKey(u)), []any{u, i.fill.reads(0)}}
		}
		if err := i.store.eachOK(ctx, wipeScript, queries); err != nil {
			return err
		}
	}
}

// Journal implements state.Taker. Whether it was posted to a run of another Redis, or of this one in another time, does not matter.
func (i *Import) Journal(ctx context.Context, node string, _ bool) (err error) {
	defer note(&err, "import journal of", node)
	i.nodes = append(i.nodes, node)
	for n := range shards {
		i.fill.add(n, "HSET", inShard(n, "roster"), node, "")
	}
	return i.fill.flush(ctx, false)
}

// User implements state.Taker.
func (i *Import) User(ctx context.Context, k state.Kept) (err error) {
	defer note(&err, "import user", k.User)
	i.user = k.User
	n, x := shard(k.User), exceptionKeys(k.User)
	i.fill.add(n, "HSETNX", recordKey(k.User), "phase", int(k.Phase))
	if words := fieldsOf(k); len(words) > 0 {
		i.fill.add(n, "HSET", recordKey(k.User), words...)
	}
	i.fill.add(n, "ZADD", phaseKey(n, k.Phase), 0, k.User)
	if at, queued := place(k); queued {
		i.fill.add(n, "ZADD", dueKey(n), at, k.User)
	}
	for class, count := range k.Classes {
		i.fill.add(n, "HSET", x[len(x)-1], class, count)
	}
	return i.fill.flush(ctx, false)
}

// Folder implements state.Taker.
func (i *Import) Folder(ctx context.Context, f state.Folder) (err error) {
	defer note(&err, "import folder of", i.user)
	i.fill.add(shard(i.user), "HSET", foldersKey(i.user), f.Name, f.Pack())
	return i.fill.flush(ctx, false)
}

// Exception implements state.Taker.
func (i *Import) Exception(ctx context.Context, e state.Exception) (err error) {
	defer note(&err, "import exception of", i.user)
	n, x, key := shard(i.user), exceptionKeys(i.user), e.Key()
	i.fill.add(n, "ZADD", x[len(x)-3], 0, key)
	i.fill.add(n, "HSET", x[len(x)-2], key, e.Pack())
	return i.fill.flush(ctx, false)
}

// Claim implements state.Taker.
func (i *Import) Claim(ctx context.Context, token, user string) (err error) {
	defer note(&err, "import claim of", user)
	i.fill.add(claimsTag, "SET", claimKey(token), user)
	return i.fill.flush(ctx, false)
}

// Finish implements state.Import. The moment at which the store is whole is that at which the nodes' tag has a fresh id: from then on whoever opens the store
// gives the id to the shards.
func (i *Import) Finish(ctx context.Context) (err error) {
	defer note(&err, "finish", "import")
	if err := i.fill.flush(ctx, true); err != nil {
		return err
	}
	if err := i.fill.whole(ctx); err != nil {
		return err
	}
	v, err := i.store.eval(ctx, finishScript, []string{nodesIDKey, nodesRosterKey}, append([]any{i.mark, fresh + i.id}, i.nodes...)...)
	if err == nil && v != any(fresh+i.id) && v != any(i.id) {
		err = errTorn
	}
	if err != nil {
		return err
	}
	_, err = i.store.identify(ctx, true)
	return err
}

// Close implements state.Import.
func (i *Import) Close() error { return i.store.Close() }

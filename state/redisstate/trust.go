package redisstate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

// tags are what has a roster and an accepted run of its own, since each may be at another master: the shards, and the nodes' tag behind them.
const tags = shards + 1

// tagKeys returns the keys of posting.
func tagKeys(n int) []string {
	if n == shards {
		return []string{nodesRunKey, nodesRosterKey, nodesIDKey, livesKey}
	}
	return []string{runKey(n), inShard(n, "roster"), inShard(n, "id")}
}

// gone is the entry of a node that was forgotten.
const gone = "gone"

// onTags runs a script of posting for every tag, and returns what follows "ok". args may differ from tag to tag.
func (s *Store) onTags(ctx context.Context, script *redis.Script, args func(tag int) []any) (answers [][]any, errs [tags]error, err error) {
	queries := make([]query, tags)
	for n := range queries {
		queries[n] = query{tagKeys(n), append([]any{s.id}, args(n)...)}
	}
	all, err := s.all(ctx, script, queries)
	if err != nil {
		return nil, errs, err
	}
	answers = make([][]any, tags)
	for n, v := range all {
		answers[n], errs[n] = coded(v)
	}
	return answers, errs, nil
}

// Doubt implements state.Journals.
func (s *Store) Doubt(ctx context.Context) (d state.Doubt, err error) {
	defer note(&err, "ask for", "the run of the store")
	answers, errs, err := s.onTags(ctx, doubtScript, func(int) []any { return nil })
	if err = cmp.Or(err, cmp.Or(errs[:]...)); err != nil {
		return state.Doubt{}, err
	}
	runs := make([]string, tags)
	roster, unready, missing := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for n, rest := range answers {
		accepted, _ := rest[1].(string)
		runs[n], _ = rest[0].(string)
		entries, err := texts(rest[2])
		if err != nil {
			return state.Doubt{}, err
		}
		untrusted := accepted != runs[n]
		d.Untrusted = d.Untrusted || untrusted
		for i := 0; i+1 < len(entries); i += 2 {
			name, entry := entries[i], entries[i+1]
			if entry == gone {
				continue
			}
			roster[name] = true
			if untrusted && entry != runs[n] {
				missing[name] = true
				unready[name] = unready[name] || entry != "ready "+runs[n]
			}
		}
	}
	maps.DeleteFunc(unready, func(_ string, yes bool) bool { return !yes })
	d.Run = strings.Join(runs, " ")
	d.Roster, d.Unready, d.Missing = slices.Sorted(maps.Keys(roster)), slices.Sorted(maps.Keys(unready)), slices.Sorted(maps.Keys(missing))
	return d, nil
}

// Ready implements state.Journals.
func (s *Store) Ready(ctx context.Context, node string, d state.Doubt, roster []string) (err error) {
	defer note(&err, "be ready as", node)
	others := make([]any, len(roster))
	for i, name := range roster {
		others[i] = name
	}
	return s.mark(ctx, readyScript, d, append([]any{node}, others...)...)
}

// Post implements state.Journals.
func (s *Store) Post(ctx context.Context, n state.Node, d state.Doubt) (err error) {
	defer note(&err, "post as", n.Name)
	return s.mark(ctx, postScript, d, n.Name, n.Incarnation)
}

// mark runs a script of every tag's roster, in the runs that d tells of.
func (s *Store) mark(ctx context.Context, script *redis.Script, d state.Doubt, args ...any) error {
	runs := strings.Split(d.Run, " ")
	if len(runs) != tags {
		return state.ErrUntrusted
	}
	_, errs, err := s.onTags(ctx, script, func(tag int) []any { return append([]any{runs[tag]}, args...) })
	return cmp.Or(err, cmp.Or(errs[:]...))
}

// Forget implements state.Journals.
func (s *Store) Forget(ctx context.Context, name string) (err error) {
	defer note(&err, "forget", name)
	lives, err := s.lives(ctx, lookScript)
	if err != nil {
		return err
	}
	for _, l := range lives {
		if l.Name == name {
			return &state.Taken{Node: l.Node, Since: l.since, Silent: l.silent, TTL: l.ttl}
		}
	}
	_, errs, err := s.onTags(ctx, forgetScript, func(int) []any { return []any{name} })
	if err != nil {
		return err
	}
	known := false
	for _, e := range errs {
		if e != nil && !errors.Is(e, state.ErrUnknown) {
			return e
		}
		known = known || e == nil
	}
	if !known {
		return state.ErrUnknown
	}
	return nil
}

// NotSwitched implements state.Journals. One script asks for all of a shard.
func (s *Store) NotSwitched(ctx context.Context, users []string) (left []string, err error) {
	defer note(&err, "look for", "switched users")
	of := map[int][]string{}
	for _, u := range users {
		of[shard(u)] = append(of[shard(u)], u)
	}
	numbers := slices.Sorted(maps.Keys(of))
	queries := make([]query, len(numbers))
	for i, n := range numbers {
		keys := []string{inShard(n, "id")}
		for _, u := range of[n] {
			keys = append(keys, recordKey(u))
		}
		queries[i] = query{keys, []any{s.id}}
	}
	answers, err := s.all(ctx, switchedScript, queries)
	if err != nil {
		return nil, err
	}
	for i, n := range numbers {
		rest, err := coded(answers[i])
		if err != nil {
			return nil, err
		}
		phases, err := texts(rest[0])
		if err != nil {
			return nil, err
		}
		for j, u := range of[n] {
			if p, _ := strconv.Atoi(phases[j]); !state.Phase(p).OnTarget() {
				left = append(left, u)
			}
		}
	}
	return left, nil
}

// tellsRuns returns an error if Redis does not say which run it is in: then one that has come back older would not be known.
func (s *Store) tellsRuns(ctx context.Context) error {
	queries := make([]query, tags)
	for n := range queries {
		queries[n] = query{keys: tagKeys(n)}
	}
	runs, err := s.glance(ctx, runScript, queries)
	if err == nil && slices.Contains(runs, any("")) {
		err = errors.New("redis does not say its master_replid (INFO replication), by which one that has come back older is known")
	}
	if err != nil {
		return fmt.Errorf("which run of redis is this: %w", err)
	}
	return nil
}

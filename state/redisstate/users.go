package redisstate

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"

	"imapferry/state"
)

// Offer implements state.Users.
func (s *Store) Offer(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "offer", user)
	if err := state.CheckName("user", user); err != nil {
		return state.Record{}, err
	}
	rest, err := s.call(ctx, offerScript, offerKeys(user), user, newOp(), s.id)
	if err != nil {
		return state.Record{}, err
	}
	return record(user, rest)
}

// Get implements state.Users.
func (s *Store) Get(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "read", user)
	rest, err := s.call(ctx, readScript, readKeys(user), s.id)
	if err != nil {
		return state.Record{}, err
	}
	return record(user, rest)
}

// List implements state.Users. Names come first, then the records; who has left the phase in between is passed over.
func (s *Store) List(ctx context.Context, phase state.Phase, after string, limit int) (page []state.Record, err error) {
	defer note(&err, "list", "users")
	for more := true; more && len(page) < limit; {
		var users []string
		users, more, err = s.page(ctx, phase, after, limit-len(page))
		if err != nil {
			return nil, err
		}
		records, err := s.records(ctx, users)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if phase == 0 || r.Phase == phase {
				page = append(page, r)
			}
		}
		if len(users) > 0 {
			after = users[len(users)-1]
		}
	}
	return page, ctx.Err()
}

// page returns at most limit names after the name after, in order, and whether there may be more.
func (s *Store) page(ctx context.Context, phase state.Phase, after string, limit int) (users []string, more bool, err error) {
	keys := phaseKeys
	if phase != 0 {
		keys = func(n int) []string { return []string{phaseKey(n, phase)} }
	}
	from := "-"
	if after != "" {
		from = "(" + after
	}
	answers, err := s.glanceAtShards(ctx, pageScript, keys, from, float64(limit)/shards)
	if err != nil {
		return nil, false, err
	}
	var excerpts []excerpt[string]
	for _, v := range answers {
		phases, _ := v.([]any)
		for _, v := range phases {
			p, err := parseExcerpt(v, 1, func(texts []string) (string, error) { return texts[0], nil })
			if err != nil {
				return nil, false, err
			}
			excerpts = append(excerpts, p)
		}
	}
	users, more = merge(excerpts, cmp.Compare[string])
	if len(users) > limit {
		users, more = users[:limit], true
	}
	return users, more, nil
}

// records reads the records of users in one round trip.
func (s *Store) records(ctx context.Context, users []string) ([]state.Record, error) {
	queries := make([]query, len(users))
	for i, u := range users {
		queries[i] = query{readKeys(u), []any{s.id, "show"}}
	}
	answers, err := s.glance(ctx, readScript, queries)
	if err != nil {
		return nil, err
	}
	records := make([]state.Record, len(users))
	for i, v := range answers {
		rest, err := coded(v)
		if err != nil {
			return nil, err
		}
		if records[i], err = record(users[i], rest); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Counts implements state.Users.
func (s *Store) Counts(ctx context.Context) (counts map[state.Phase]int64, err error) {
	defer note(&err, "count", "users")
	answers, err := s.glanceAtShards(ctx, countsScript, phaseKeys)
	if err != nil {
		return nil, err
	}
	counts = make(map[state.Phase]int64, len(state.Phases))
	for _, p := range state.Phases {
		counts[p] = 0
	}
	for _, v := range answers {
		list, _ := v.([]any)
		for i, n := range list {
			n, _ := n.(int64)
			counts[state.Phase(i+1)] += n
		}
	}
	return counts, nil
}

// waiter is a user in a due queue.
type waiter struct {
	user  string
	since float64
}

func (a waiter) compare(b waiter) int {
	return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.user, b.user))
}

// Due implements state.Users.
func (s *Store) Due(ctx context.Context, limit int) (users []string, err error) {
	defer note(&err, "list", "due users")
	if limit <= 0 {
		return nil, ctx.Err()
	}
	for mean := float64(limit) / shards; ; mean *= 4 {
		waiters, more, err := s.waiters(ctx, mean)
		if err != nil {
			return nil, err
		}
		if more && len(waiters) < limit { // few shards have most of them
			continue
		}
		for _, w := range waiters[:min(limit, len(waiters))] {
			users = append(users, w.user)
		}
		return users, nil
	}
}

// waiters returns the first who are due, about mean of each shard, and whether there may be more.
func (s *Store) waiters(ctx context.Context, mean float64) (first []waiter, more bool, err error) {
	answers, err := s.glanceAtShards(ctx, dueScript, func(n int) []string { return []string{dueKey(n), inShard(n, "id")} }, mean, s.id)
	if err != nil {
		return nil, false, err
	}
	excerpts := make([]excerpt[waiter], len(answers))
	for i, v := range answers {
		rest, err := coded(v)
		if err != nil {
			return nil, false, err
		}
		if excerpts[i], err = parseExcerpt(rest[0], 2, parseWaiter); err != nil {
			return nil, false, err
		}
	}
	first, more = merge(excerpts, waiter.compare)
	return first, more, nil
}

// parseWaiter reads a user and since when.
func parseWaiter(texts []string) (w waiter, err error) {
	w.user = texts[0]
	w.since, err = strconv.ParseFloat(texts[len(texts)-1], 64)
	return w, err
}

// Claim implements state.Users.
func (s *Store) Claim(ctx context.Context, user string, tokens []string) (other string, err error) {
	defer note(&err, "claim mailbox for", user)
	if err := cmp.Or(state.CheckName("user", user), state.CheckTokens(tokens), ctx.Err()); err != nil || len(tokens) == 0 {
		return "", err
	}
	keys := make([]string, len(tokens))
	for i, t := range tokens {
		keys[i] = claimKey(t)
	}
	v, err := s.eval(ctx, claimScript, keys, user)
	other, _ = v.(string)
	return other, err
}

// Retry implements state.Users.
func (s *Store) Retry(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "retry", user)
	return s.forUser(ctx, retryScript, user, newOp())
}

// Park implements state.Users.
func (s *Store) Park(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "park for", user)
	return s.forUser(ctx, parkScript, user, newOp())
}

// ReleaseUser implements state.Users.
func (s *Store) ReleaseUser(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "release", user)
	return s.forUser(ctx, releaseUserScript, user, newOp())
}

// Tally implements state.Users.
func (s *Store) Tally(ctx context.Context, user string, moved int64, ended map[string]int64) (err error) {
	defer note(&err, "tally sessions of", user)
	if err := state.CheckTally(moved, ended); err != nil {
		return err
	}
	op := newOp()
	args := []any{user, op, moved}
	for _, reason := range slices.Sorted(maps.Keys(ended)) {
		if ended[reason] > 0 {
			args = append(args, reason, ended[reason])
		}
	}
	_, err = s.call(ctx, tallyScript, tallyKeys(user, op), args...)
	return err
}

// Folders implements state.Users.
func (s *Store) Folders(ctx context.Context, user string) (folders []state.Folder, err error) {
	defer note(&err, "read folders of", user)
	rest, err := s.call(ctx, foldersScript, append(readKeys(user), foldersKey(user)), s.id)
	if err != nil {
		return nil, err
	}
	all, err := pairs(rest[0])
	if err != nil {
		return nil, err
	}
	for name, packed := range all {
		f, err := state.UnpackFolder(name, []byte(packed))
		if err != nil {
			return nil, err
		}
		folders = append(folders, f)
	}
	return folders, nil
}

// hash reads a hash.
func (s *Store) hash(ctx context.Context, key string) (map[string]string, error) {
	v, err := s.eval(ctx, hashScript, []string{key})
	if err != nil {
		return nil, err
	}
	return pairs(v)
}

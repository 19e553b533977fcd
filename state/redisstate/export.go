package redisstate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

var _ state.Exporter = (*Store)(nil)

// Bounds of what an export reads at once, and has in memory.
const (
	exportUsers      = 250
	exportFolders    = 2000 // of several users together; one who has more is read alone
	exportExceptions = 1000
	exportKeys       = 2000 // that one step of a scan looks at
)

// quietPoll is how often nodes are looked at that may be dead.
const quietPoll = 200 * time.Millisecond

// Export implements state.Exporter. Everything is read confirmed: what a deposed master says would take switches back.
func (s *Store) Export(ctx context.Context, to state.Taker, waits func(node string, left time.Duration)) (err error) {
	defer note(&err, "export", "state")
	if err := s.quiet(ctx, waits); err != nil {
		return err
	}
	before, err := s.joins(ctx)
	if err != nil {
		return err
	}
	if err := s.quiet(ctx, waits); err != nil { // none is counted that is alive still
		return err
	}
	d, err := s.Doubt(ctx)
	if err != nil {
		return err
	}
	for _, name := range d.Roster {
		if err := to.Journal(ctx, name, !slices.Contains(d.Missing, name)); err != nil {
			return err
		}
	}
	err = s.eachPhase(ctx, func(key string) error { return s.exportPhase(ctx, key, to) })
	if err != nil {
		return err
	}
	if err := s.eachClaim(ctx, func(token, user string) error { return to.Claim(ctx, token, user) }); err != nil {
		return err
	}
	after, err := s.joins(ctx)
	if err == nil && after != before {
		err = errJoined
	}
	if err != nil {
		return err
	}
	now, err := s.Doubt(ctx)
	if err == nil && now.Run != d.Run {
		err = errOtherRun
	}
	return err
}

var (
	errJoined   = errors.New("a node has joined meanwhile: stop all nodes and export again")
	errOtherRun = errors.New("redis was started anew or has failed over meanwhile, and may have lost switches: export again")
)

// joins returns how many incarnations have ever joined.
func (s *Store) joins(ctx context.Context) (string, error) {
	rest, err := s.call(ctx, joinsScript, nodeKeys, s.id)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(rest...), nil
}

// quiet returns when no node is alive, or *state.Alive as soon as one has shown that it is. One that has left nothing but its entry is
// waited for.
func (s *Store) quiet(ctx context.Context, waits func(node string, left time.Duration)) error {
	seen := map[state.Node]string{} // beats
	for first := true; ; first = false {
		lives, err := s.lives(ctx, lookScript)
		if err != nil || len(lives) == 0 {
			return err
		}
		for _, l := range lives {
			switch beat, ok := seen[l.Node]; {
			case first:
				waits(l.Name, l.ttl+state.Margin(l.ttl)-l.silent)
				seen[l.Node] = l.beat
			case !ok || beat != l.beat:
				return &state.Alive{Node: l.Name}
			}
		}
		if err := pause(ctx, quietPoll, &state.Alive{Node: lives[0].Name}); err != nil {
			return err
		}
	}
}

// eachPhase calls do with the key of each shard and phase that has users.
func (s *Store) eachPhase(ctx context.Context, do func(key string) error) error {
	answers, err := s.eachShard(ctx, countsScript, phaseKeys)
	if err != nil {
		return err
	}
	for n, v := range answers {
		counts, _ := v.([]any)
		for i, key := range phaseKeys(n) {
			if i < len(counts) && counts[i] == any(int64(0)) {
				continue
			}
			if err := do(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepScript reads a record and how much there is beside it.
//
//	KEYS[1] -> record   KEYS[2] -> id   KEYS[3] -> folders   KEYS[4] -> exceptions   KEYS[5] -> their counts   ARGV[1] -> the id that is due
//
// Returns {"ok", now, fields, folders, exceptions, counts}, {"unknown"}, or {"replaced"} if the store is another one.
var keepScript = redis.NewScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'replaced'} end
local t = redis.call('TIME')
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return {'unknown'} end
return {'ok', string.format('%.0f', t[1] * 1000000 + t[2]), fields, redis.call('HLEN', KEYS[3]), redis.call('ZCARD', KEYS[4]), redis.call('HGETALL', KEYS[5])}
`)

// kept is a user as keepScript tells.
type kept struct {
	state.Kept
	folders, exceptions int64
}

// namesScript lists some users of a shard in a phase, in order.
//
//	KEYS[1] -> users of the phase   ARGV[1] -> "-" or "(" and a name   ARGV[2] -> limit
//
// Returns names.
var namesScript = redis.NewScript(`return redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, ARGV[2])`)

// exportPhase hands over all users of a shard who are in one phase.
func (s *Store) exportPhase(ctx context.Context, key string, to state.Taker) error {
	for from := "-"; ; {
		v, err := s.eval(ctx, namesScript, []string{key}, from, exportUsers)
		if err != nil {
			return err
		}
		users, err := texts(v)
		if err != nil || len(users) == 0 {
			return err
		}
		if err := s.exportUsers(ctx, users, to); err != nil {
			return err
		}
		from = "(" + users[len(users)-1]
	}
}

func (s *Store) exportUsers(ctx context.Context, users []string, to state.Taker) error {
	queries := make([]query, len(users))
	for i, u := range users {
		x := exceptionKeys(u)[len(userKeys(u)):]
		queries[i] = query{[]string{recordKey(u), inShard(shard(u), "id"), foldersKey(u), x[0], x[2]}, []any{s.id}}
	}
	answers, err := s.all(ctx, keepScript, queries)
	if err != nil {
		return err
	}
	page := make([]kept, len(users))
	for i, v := range answers {
		if page[i], err = readKept(users[i], v); err != nil {
			return fmt.Errorf("%s: %w", users[i], err)
		}
	}
	for len(page) > 0 {
		n, folders := 0, int64(0)
		for n < len(page) && (n == 0 || folders+page[n].folders <= exportFolders) {
			folders += page[n].folders
			n++
		}
		if err := s.exportKept(ctx, page[:n], to); err != nil {
			return err
		}
		page = page[n:]
	}
	return nil
}

func readKept(user string, v any) (k kept, err error) {
	rest, err := coded(v)
	if err != nil {
		return k, err
	}
	if len(rest) != 5 {
		return k, fmt.Errorf("a script answered %v", rest)
	}
	of, err := pairs(rest[1])
	if err != nil {
		return k, err
	}
	of["now"], _ = rest[0].(string)
	f := &fields{of: of}
	k.Record, err = f.record(user)
	k.Since, k.AttemptEpoch = f.instant("since"), uint64(f.number("aepoch"))
	if owner := of["owner"]; owner != "" { // whose lease has ended, since when the user waits
		if k.Owner != "" {
			return k, &state.Leased{User: user, Owner: owner, Until: k.LeaseUntil}
		}
		if until := f.instant("until"); until.After(k.Since) {
			k.Since = until
		}
	}
	k.folders, _ = rest[2].(int64)
	k.exceptions, _ = rest[3].(int64)
	counts, err2 := pairs(rest[4])
	for class, n := range counts {
		if k.Classes == nil {
			k.Classes = map[string]int64{}
		}
		var bad error
		k.Classes[class], bad = strconv.ParseInt(n, 10, 64)
		err2 = cmp.Or(err2, bad)
	}
	return k, cmp.Or(err, f.err, err2)
}

// exportKept hands over some users, whose folders are read at once.
func (s *Store) exportKept(ctx context.Context, page []kept, to state.Taker) error {
	var queries []query
	for _, k := range page {
		if k.folders > 0 {
			queries = append(queries, query{keys: []string{foldersKey(k.User)}})
		}
	}
	answers, err := s.all(ctx, hashScript, queries)
	if err != nil {
		return err
	}
	for _, k := range page {
		if err := to.User(ctx, k.Kept); err != nil {
			return err
		}
		if k.folders > 0 {
			if err := giveFolders(ctx, answers[0], to); err != nil {
				return fmt.Errorf("folders of %s: %w", k.User, err)
			}
			answers = answers[1:]
		}
		if k.exceptions > 0 {
			if err := s.giveExceptions(ctx, k.User, to); err != nil {
				return err
			}
		}
	}
	return nil
}

func giveFolders(ctx context.Context, answer any, to state.Taker) error {
	all, err := pairs(answer)
	if err != nil {
		return err
	}
	for name, packed := range all {
		f, err := state.UnpackFolder(name, []byte(packed))
		if err != nil {
			return err
		}
		if err := to.Folder(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) giveExceptions(ctx context.Context, user string, to state.Taker) error {
	for after := ""; ; {
		page, err := s.exceptions(ctx, user, after, exportExceptions)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := to.Exception(ctx, e); err != nil {
				return err
			}
			after = e.Key()
		}
		if len(page) < exportExceptions {
			return nil
		}
	}
}

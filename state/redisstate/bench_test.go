package redisstate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"imapferry/internal/testbed"
	"imapferry/state/statetest"
)

// BenchmarkMillion prints what a user costs in a Redis that has a million of them, beside one that has a thousand.
func BenchmarkMillion(b *testing.B) {
	testbed.Need(b, "redis-server")
	few, many := populate(b, statetest.Few), populate(b, statetest.Many)
	for range b.N {
		statetest.Costs(b, few, many)
	}
}

// parts are the keys that concern a user, by what they are for.
var parts = []struct {
	of   string
	keys func(user string) []string
}{
	{"record and places", func(user string) []string {
		return append([]string{recordKey(user), dueKey(shard(user)), holdsKey(user)}, phaseKeys(shard(user))...)
	}},
	{"folders, five of most", func(user string) []string { return []string{foldersKey(user)} }},
	{"claims, three of most", func(user string) (keys []string) {
		for _, t := range statetest.Tokens(user) {
			keys = append(keys, claimKey(t))
		}
		return keys
	}},
}

// populate fills a Redis of its own.
func populate(b *testing.B, users int) statetest.Population {
	b.Helper()
	r, err := testbed.ForTest(b).Redis(testbed.RedisOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.Context(), r.URL(), Options{Log: slog.New(slog.DiscardHandler)}) // it keeps all in memory alone, and warns of it
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := statetest.Accept(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	if err := statetest.Settle(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: r.Addr()})
	b.Cleanup(func() { c.Close() })
	p := statetest.Population{Store: s, Users: users, Bytes: map[string]float64{}}
	for _, part := range parts {
		before := memory(b, c)
		if err := fill(b.Context(), c, users, part.keys); err != nil {
			b.Fatal(err)
		}
		p.Bytes["each user's "+part.of] = float64(memory(b, c)-before) / float64(users)
	}
	for i := range statetest.Kinds {
		if err := statetest.Alike(b.Context(), s, users-1-i); err != nil {
			b.Error(err)
		}
	}
	return p
}

// copyScript makes of a user a copy.
//
//	KEYS[1..n] -> keys that concern the user   KEYS[n+1..2n] -> the same keys of the copy   ARGV[1] -> user   ARGV[2] -> copy
//
// Returns nothing. In a sorted set the copy gets the user's place, in a string the copy's name stands; hashes are copied.
var copyScript = redis.NewScript(`
local n = #KEYS / 2
for i = 1, n do
  local from, to = KEYS[i], KEYS[n + i]
  local kind = redis.call('TYPE', from).ok
  if kind == 'zset' then
    local score = redis.call('ZSCORE', from, ARGV[1])
    if score then redis.call('ZADD', to, score, ARGV[2]) end
  elseif kind == 'string' then
    redis.call('SET', to, ARGV[2])
  elseif kind == 'hash' then
    redis.call('COPY', from, to)
  end
end
`)

// fill makes copies of the first users, in so far as keys names what concerns them.
func fill(ctx context.Context, c *redis.Client, users int, keys func(user string) []string) error {
	if err := copyScript.Load(ctx, c).Err(); err != nil {
		return err
	}
	for next := len(statetest.Kinds); next < users; {
		_, err := c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for end := min(next+1000, users); next < end; next++ {
				of, user := statetest.Citizen(next%len(statetest.Kinds)), statetest.Citizen(next)
				copyScript.EvalSha(ctx, pipe, append(keys(of), keys(user)...), of, user)
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) { // the script returns nothing
			return fmt.Errorf("copy users: %w", err)
		}
	}
	return nil
}

// memory returns how many bytes Redis uses for what it holds.
func memory(b *testing.B, c *redis.Client) int64 {
	b.Helper()
	info, err := c.InfoMap(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(info["Memory"]["used_memory"], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

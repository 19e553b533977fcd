package redisstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// fresh begins the id of a store whose shards do not all have it yet.
const fresh = "fresh:"

// identifyScript proposes an id for a key that may have none.
//
//	KEYS[1] -> id   ARGV[1] -> proposal, or "" only to look
//
// Returns the id that counts, or "".
var identifyScript = redis.NewScript(`
if ARGV[1] ~= '' then redis.call('SET', KEYS[1], ARGV[1], 'NX') end
return redis.call('GET', KEYS[1]) or ''
`)

// settleScript ends the state of being fresh.
//
//	KEYS[1] -> id   ARGV[1] -> the fresh one   ARGV[2] -> the lasting one
//
// Returns the id that counts.
var settleScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
`)

// ID implements state.Store.
func (s *Store) ID() string { return s.id }

// identify returns the store's id, and makes one if the store has none: it is new, or was emptied. The nodes' tag has it first, as a
// fresh one, until all shards have it too; so processes that open the store at once agree, and one that dies meanwhile leaves the rest
// to the next. A shard without the id of a store that is not fresh has lost what it held.
func (s *Store) identify(ctx context.Context) (string, error) {
	v, err := s.eval(ctx, identifyScript, []string{nodesIDKey}, fresh+rand.Text())
	if err != nil {
		return "", err
	}
	word := fmt.Sprint(v)
	id, isFresh := strings.CutPrefix(word, fresh)
	proposal := ""
	if isFresh {
		proposal = id
	}
	ids, err := s.eachShard(ctx, identifyScript, func(n int) []string { return []string{inShard(n, "id")} }, proposal)
	if err != nil {
		return "", err
	}
	for n, v := range ids {
		if v != any(id) {
			return "", fmt.Errorf("shard %02d does not belong to the rest: a part of the store was emptied or restored alone; restore all of it as of one time", n)
		}
	}
	if isFresh {
		if v, err = s.eval(ctx, settleScript, []string{nodesIDKey}, word, id); err == nil && v != any(id) {
			err = errors.New("the store was emptied while it was opened; try again")
		}
	}
	return id, err
}

package redisstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

// What a store has in the place of an id while it has none that counts.
const (
	fresh     = "fresh:"  // begins the id of a store whose shards do not all have it yet
	importing = "import:" // begins the mark of an import that has not ended
)

// identifyScript proposes an id for a key that may have none. A shard's mark of an import is none: that of the nodes is gone, so it has
// ended. What is deleted was never there: a server that would refuse to write, as a replica does, refuses that, and nothing is changed by it.
//
//	KEYS[1] -> id   KEYS[2] -> nothing   ARGV[1] -> proposal, or "" only to look   ARGV[2] -> what a mark begins with, or ""
//
// Returns the id that counts, or "".
var identifyScript = redis.NewScript(`
redis.call('DEL', KEYS[2])
local has = redis.call('GET', KEYS[1]) or ''
local none = has == '' or ARGV[2] ~= '' and string.sub(has, 1, #ARGV[2]) == ARGV[2]
if ARGV[1] == '' or not none then return has end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
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

// identify returns the store's id, and makes one if the store has none, unless it must exist: it is new, or was emptied. The nodes' tag has it first, as a
// fresh one, until all shards have it too; so processes that open the store at once agree, and one that dies meanwhile leaves the rest
// to the next. A shard without the id of a store that is not fresh has lost what it held.
func (s *Store) identify(ctx context.Context, existing bool) (string, error) {
	proposal := fresh + rand.Text()
	if existing {
		proposal = ""
	}
	v, err := s.eval(ctx, identifyScript, idKeys(nodesIDKey), proposal, "")
	if err != nil {
		return "", err
	}
	word := fmt.Sprint(v)
	id, isFresh, err := whose(word)
	if err != nil {
		return "", err
	}
	proposal = ""
	if isFresh {
		proposal = id
	}
	ids, err := s.eachShard(ctx, identifyScript, shardIDKeys, proposal, importing)
	if err != nil {
		return "", err
	}
	if err := together(ids, id, false); err != nil {
		return "", err
	}
	if isFresh {
		if v, err = s.eval(ctx, settleScript, []string{nodesIDKey}, word, id); err == nil && v != any(id) {
			err = errors.New("the store was emptied while it was opened; try again")
		}
	}
	return id, err
}

func idKeys(id string) []string { return []string{id, nothingKey(id)} }

func shardIDKeys(shard int) []string { return idKeys(inShard(shard, "id")) }

// whose reads what the nodes' tag has.
func whose(word string) (id string, isFresh bool, err error) {
	switch {
	case word == "":
		return "", false, state.ErrAbsent
	case strings.HasPrefix(word, importing):
		return "", false, state.ErrUnfinished
	}
	id, isFresh = strings.CutPrefix(word, fresh)
	return id, isFresh, nil
}

// together returns an error unless all shards have the id, or may have none yet.
func together(ids []any, id string, begun bool) error {
	for n, v := range ids {
		if begun && (v == any("") || strings.HasPrefix(fmt.Sprint(v), importing)) {
			continue
		}
		if v != any(id) {
			return fmt.Errorf("shard %02d does not belong to the rest: a part of the store was emptied or restored alone; restore all of it as of one time", n)
		}
	}
	return nil
}

package redisstate

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

// exceptionKeys adds the keys of a user's exceptions: their order, what they say, and how many there are of each class.
func exceptionKeys(user string) []string {
	n := shard(user)
	return append(userKeys(user), inShard(n, "exceptions:"+user), inShard(n, "exception-texts:"+user), inShard(n, "exception-counts:"+user))
}

// exceptional is how the scripts that change the list go on.
//
//	KEYS[13] -> keys in order   KEYS[14] -> key to the rest   KEYS[15] -> class to count
const exceptional = held + `
local list, texts, counts = KEYS[13], KEYS[14], KEYS[15]

local function forget(key, class)
  if redis.call('ZREM', list, key) == 0 then return end
  redis.call('HDEL', texts, key)
  if redis.call('HINCRBY', counts, class, -1) <= 0 then redis.call('HDEL', counts, class) end
  if redis.call('ZCARD', list) == 0 then redis.call('DEL', counts) end
end
`

// putExceptionsScript adds to the list.
//
//	ARGV[5] -> most that are listed   ARGV[6..] -> key, class and the rest, of each
var putExceptionsScript = redis.NewScript(exceptional + `
local size, most = redis.call('ZCARD', list), tonumber(ARGV[5])
for i = 6, #ARGV, 3 do
  local key, class, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local fresh = redis.call('HEXISTS', texts, key) == 0
  if fresh then redis.call('HINCRBY', counts, class, 1) end
  if not fresh or size < most then
    redis.call('HSET', texts, key, text)
    if fresh then
      redis.call('ZADD', list, 0, key)
      size = size + 1
    end
  end
end
put('op', op)
return {'ok'}
`)

// deleteExceptionScript takes one from the list.
//
//	ARGV[5] -> key   ARGV[6] -> class
var deleteExceptionScript = redis.NewScript(exceptional + `
forget(ARGV[5], ARGV[6])
return {'ok'}
`)

// deleteExceptionsScript takes some of a folder from the list. A key is the folder, NUL, four bytes and the class.
//
//	ARGV[5] -> folder   ARGV[6] -> how many
//
// Returns {"ok", how many there were}.
var deleteExceptionsScript = redis.NewScript(exceptional + `
local folder = ARGV[5]
local keys = redis.call('ZRANGEBYLEX', list, '[' .. folder .. '\0', '(' .. folder .. '\1', 'LIMIT', 0, ARGV[6])
for _, key in ipairs(keys) do
  forget(key, string.sub(key, #folder + 6))
end
return {'ok', #keys}
`)

// listExceptionsScript reads a part of the list.
//
//	KEYS[1] -> keys in order   KEYS[2] -> key to the rest   ARGV[1] -> where to begin   ARGV[2] -> how many
//
// Returns {key, rest, key, rest …}.
var listExceptionsScript = redis.NewScript(`
local out = {}
for _, key in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
  out[#out + 1] = key
  out[#out + 1] = redis.call('HGET', KEYS[2], key)
end
return out
`)

func (s *Store) forExceptions(ctx context.Context, script *redis.Script, l state.Lease, op string, args ...any) ([]any, error) {
	return s.call(ctx, script, exceptionKeys(l.User), append([]any{l.User, op, l.Owner, l.Epoch}, args...)...)
}

// atOnce is how many exceptions one script adds or takes away: all others wait for it, and past five seconds Redis refuses them.
const atOnce = 500

// PutExceptions implements state.Exceptions.
func (s *Store) PutExceptions(ctx context.Context, l state.Lease, list ...state.Exception) (err error) {
	defer note(&err, "note exceptions of", l.User)
	if err := state.CheckExceptions(list); err != nil {
		return err
	}
	for {
		part := list[:min(len(list), atOnce)]
		args := []any{state.MaxExceptions}
		for _, e := range part {
			args = append(args, e.Key(), e.Class, e.Pack())
		}
		if _, err := s.forExceptions(ctx, putExceptionsScript, l, newOp(), args...); err != nil {
			return err
		}
		if list = list[len(part):]; len(list) == 0 {
			return nil
		}
	}
}

// DeleteException implements state.Exceptions.
func (s *Store) DeleteException(ctx context.Context, l state.Lease, e state.Exception) (err error) {
	defer note(&err, "forget exception of", l.User)
	_, err = s.forExceptions(ctx, deleteExceptionScript, l, noOp, e.Key(), e.Class)
	return err
}

// DeleteExceptions implements state.Exceptions.
func (s *Store) DeleteExceptions(ctx context.Context, l state.Lease, folder string) (err error) {
	defer note(&err, "forget exceptions of", l.User)
	for {
		rest, err := s.forExceptions(ctx, deleteExceptionsScript, l, noOp, folder, atOnce)
		if err != nil {
			return err
		}
		if n, _ := rest[0].(int64); n < atOnce {
			return nil
		}
	}
}

// Exceptions implements state.Exceptions.
func (s *Store) Exceptions(ctx context.Context, user, after string, limit int) (page []state.Exception, err error) {
	defer note(&err, "read exceptions of", user)
	if _, err := s.Get(ctx, user); err != nil || limit <= 0 {
		return nil, err
	}
	return s.exceptions(ctx, user, after, limit)
}

// exceptions is Exceptions of a user who is known.
func (s *Store) exceptions(ctx context.Context, user, after string, limit int) (page []state.Exception, err error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	v, err := s.eval(ctx, listExceptionsScript, exceptionKeys(user)[len(userKeys(user)):][:2], from, limit)
	if err != nil {
		return nil, err
	}
	flat, err := texts(v)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(flat); i += 2 {
		e, err := state.UnpackException(flat[i], []byte(flat[i+1]))
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, nil
}

// CountExceptions implements state.Exceptions.
func (s *Store) CountExceptions(ctx context.Context, user string) (of map[string]int64, err error) {
	defer note(&err, "count exceptions of", user)
	if _, err := s.Get(ctx, user); err != nil {
		return nil, err
	}
	keys := exceptionKeys(user)
	all, err := s.hash(ctx, keys[len(keys)-1])
	if err != nil {
		return nil, err
	}
	of = make(map[string]int64, len(all))
	for class, n := range all {
		if of[class], err = strconv.ParseInt(n, 10, 64); err != nil {
			return nil, fmt.Errorf("read count of %s: %w", class, err)
		}
	}
	return of, nil
}

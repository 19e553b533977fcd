package redisstate

import "github.com/redis/go-redis/v9"

// countsScript counts the users of a shard by phase, all at one moment.
//
//	KEYS -> users of phase 1..7
//
// Returns as many numbers.
var countsScript = redis.NewScript(`
local counts = {}
for i, k in ipairs(KEYS) do counts[i] = redis.call('ZCARD', k) end
return counts
`)

// pageScript lists users of a shard in order of name, at one moment, so that a change of phase hides no one.
//
//	KEYS -> users of some phases   ARGV[1] -> "-" or "(" and a name   ARGV[2] -> limit, of each
//
// Returns names, each phase's in order.
var pageScript = redis.NewScript(`
local page = {}
for _, k in ipairs(KEYS) do
  for _, u in ipairs(redis.call('ZRANGEBYLEX', k, ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do table.insert(page, u) end
end
return page
`)

// dueScript lists the users of a shard who are due, those first who have waited longest.
//
//	KEYS[1] -> due queue   ARGV[1] -> limit
//
// Returns user, since, user, since, …; those of migrated users are higher than all others.
var dueScript = redis.NewScript(`
local BEHIND = 2 ^ 52 -- as in prelude
local function str(n) return string.format('%.0f', n) end
local t = redis.call('TIME')
local now, limit = t[1] * 1000000 + t[2], tonumber(ARGV[1])
local waiters = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', str(now), 'WITHSCORES', 'LIMIT', 0, limit)
if #waiters / 2 < limit then
  local late = redis.call('ZRANGEBYSCORE', KEYS[1], str(BEHIND), str(BEHIND + now), 'WITHSCORES', 'LIMIT', 0, limit - #waiters / 2)
  for _, v in ipairs(late) do table.insert(waiters, v) end
end
return waiters
`)

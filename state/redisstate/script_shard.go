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
// Returns user, since, user, since, …
var dueScript = redis.NewScript(`
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000000 + t[2])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
`)

// nodePrelude begins the scripts on nodes: those whose time has passed are deleted, so that no clock can bring them back.
//
//	KEYS[1] -> lives
const nodePrelude = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local all, lives = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local till, incarnation = string.match(all[i + 1], '^(%d+):(.*)$')
  if tonumber(till) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    lives[all[i]] = incarnation
  end
end
local function extend(name, incarnation, ttl)
  redis.call('HSET', KEYS[1], name, string.format('%.0f:%s', now + ttl, incarnation))
end
`

// joinScript registers an incarnation and replaces an older one of that name.
//
//	ARGV[1] -> name   ARGV[2] -> incarnation   ARGV[3] -> time to live
var joinScript = redis.NewScript(nodePrelude + `
extend(ARGV[1], ARGV[2], ARGV[3])
return {'ok'}
`)

// beatScript extends an incarnation's life.
//
//	ARGV[1] -> name   ARGV[2] -> incarnation   ARGV[3] -> time to live, or 0 only to look
//
// Returns {"fenced"} if it has ended.
var beatScript = redis.NewScript(nodePrelude + `
if lives[ARGV[1]] ~= ARGV[2] then return {'fenced'} end
if ARGV[3] ~= '0' then extend(ARGV[1], ARGV[2], ARGV[3]) end
return {'ok'}
`)

// leaveScript ends an incarnation.
//
//	ARGV[1] -> name   ARGV[2] -> incarnation
var leaveScript = redis.NewScript(nodePrelude + `
if lives[ARGV[1]] == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return {'ok'}
`)

// liveScript lists the nodes that are alive.
//
// Returns {"ok", {name, incarnation, name, incarnation, …}}.
var liveScript = redis.NewScript(nodePrelude + `
local live = {}
for name, incarnation in pairs(lives) do
  table.insert(live, name)
  table.insert(live, incarnation)
end
return {'ok', live}
`)

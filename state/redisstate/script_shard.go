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

// share is how many a set is asked for in which by chance mean are found of what is looked for: four standard deviations more. To ask
// each for all would throw away most.
const share = `
local function share(mean) return math.ceil(mean + 4 * math.sqrt(mean)) + 1 end
`

// pageScript lists users of a shard in order of name, at one moment, so that a change of phase hides no one.
//
//	KEYS -> users of some phases   ARGV[1] -> "-" or "(" and a name   ARGV[2] -> how many of the shard are looked for
//
// Returns {"cut" or "", name, name, …} for each phase that has users.
var pageScript = redis.NewScript(share + `
local page, sizes, all = {}, {}, 0
for i, k in ipairs(KEYS) do
  sizes[i] = redis.call('ZCARD', k)
  all = all + sizes[i]
end
for i, k in ipairs(KEYS) do
  if sizes[i] > 0 then
    local ask = share(ARGV[2] * sizes[i] / all)
    local names = redis.call('ZRANGEBYLEX', k, ARGV[1], '+', 'LIMIT', 0, ask)
    table.insert(names, 1, #names == ask and 'cut' or '')
    table.insert(page, names)
  end
end
return page
`)

// dueScript lists the users of a shard who are due, those first who have waited longest. What is half imported is nobody's work.
//
//	KEYS[1] -> due queue   KEYS[2] -> id of the store   ARGV[1] -> how many of the shard are looked for   ARGV[2] -> the id that is due
//
// Returns {"ok", {"cut" or "", user, since, user, since, …}}; the times of migrated users are higher than all others. {"replaced"} if the store
// is another one.
var dueScript = redis.NewScript(share + `
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return {'replaced'} end
local BEHIND = 2 ^ 52 -- as in prelude
local function str(n) return string.format('%.0f', n) end
local t = redis.call('TIME')
local now, ask = t[1] * 1000000 + t[2], share(ARGV[1])
local waiters = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', str(now), 'WITHSCORES', 'LIMIT', 0, ask)
if #waiters / 2 < ask then
  local late = redis.call('ZRANGEBYSCORE', KEYS[1], str(BEHIND), str(BEHIND + now), 'WITHSCORES', 'LIMIT', 0, ask - #waiters / 2)
  for _, v in ipairs(late) do table.insert(waiters, v) end
end
table.insert(waiters, 1, #waiters / 2 == ask and 'cut' or '')
return {'ok', waiters}
`)

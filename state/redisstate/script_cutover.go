package redisstate

import "github.com/redis/go-redis/v9"

// beginScript moves a tailing user to cutover. No node is named yet, so nothing can be committed.
//
//	ARGV[5] -> attempt   ARGV[6] -> budget
//
// Returns {"phase"} from any other phase.
var beginScript = redis.NewScript(held + `
if num('phase') ~= TAILING then return {'phase'} end
redis.call('HINCRBY', rec, 'epoch', 1)
redis.call('HSET', rec, 'attempt', ARGV[5], 'aepoch', get('epoch'), 'deadline', str(now + ARGV[6]))
redis.call('HDEL', rec, 'committing', 'named', 'reason')
redis.call('DEL', holds)
become(CUTOVER)
return done()
`)

// nameScript names the nodes whose acknowledgement the attempt needs. One that has acknowledged already keeps its mark.
//
//	ARGV[3] -> attempt   ARGV[4] -> its epoch   ARGV[5..] -> nodes
//
// Returns {"phase"} if that attempt is not under way any more.
var nameScript = redis.NewScript(known + `
if not under(ARGV[3]) or get('aepoch') ~= ARGV[4] then return {'phase'} end
for i = 5, #ARGV do redis.call('HSETNX', holds, ARGV[i], '0') end
put('named', 1)
return answer()
`)

// acknowledgeScript notes that a node, alive a moment ago, holds.
//
//	ARGV[3] -> attempt   ARGV[4] -> its epoch   ARGV[5] -> node   ARGV[6] -> its sessions   ARGV[7] -> touched folders, packed
//
// Returns {"phase"} if that attempt is not under way.
var acknowledgeScript = redis.NewScript(known + `
if not under(ARGV[3]) or get('aepoch') ~= ARGV[4] then return {'phase'} end
redis.call('HSET', holds, ARGV[5], '1' .. ARGV[6] .. ':' .. ARGV[7])
return {'ok'}
`)

// waitingScript lists the nodes that were named and have not acknowledged, alive or not.
//
//	ARGV[3] -> attempt
//
// Returns {"ok", nodes}, or {"phase"} if that attempt is not under way, or names no nodes yet.
var waitingScript = redis.NewScript(known + `
if not under(ARGV[3]) or get('named') == '' then return {'phase'} end
local all, waiting = redis.call('HGETALL', holds), {}
for i = 1, #all, 2 do
  if all[i + 1] == '0' then table.insert(waiting, all[i]) end
end
return {'ok', waiting}
`)

// touchedScript lists what the nodes that have acknowledged have told.
//
//	ARGV[3] -> attempt
//
// Returns {"ok", packed lists of touched folders}, or {"phase"} if that attempt is not under way.
var touchedScript = redis.NewScript(known + `
if not under(ARGV[3]) then return {'phase'} end
local touched = {}
for _, mark in ipairs(redis.call('HVALS', holds)) do
  if mark ~= '0' then table.insert(touched, string.sub(mark, string.find(mark, ':', 1, true) + 1)) end
end
return {'ok', touched}
`)

// sessionsScript lists the sessions of the nodes that have acknowledged.
//
//	ARGV[3] -> attempt
//
// Returns {"ok", {node, sessions, node, sessions, …}}, or {"phase"} if that attempt is not under way.
var sessionsScript = redis.NewScript(known + `
if not under(ARGV[3]) then return {'phase'} end
local all, open = redis.call('HGETALL', holds), {}
for i = 1, #all, 2 do
  local n = string.match(all[i + 1], '^1(%d+):')
  if n and n ~= '0' then
    table.insert(open, all[i])
    table.insert(open, n)
  end
end
return {'ok', open}
`)

// callOffScript moves the user back to tailing.
//
//	ARGV[3] -> owner, or "" for anyone   ARGV[4] -> epoch, or 0 for anyone   ARGV[5] -> attempt   ARGV[6] -> reason
//
// Returns {"lost"} for a lease that has ended, and for anyone before the deadline; {"phase"} if the attempt is not
// under way or is committed.
var callOffScript = redis.NewScript(known + `
local anyone = ARGV[3] == '' and ARGV[4] == '0'
if not anyone and lost(ARGV[3], ARGV[4]) then return {'lost'} end
if not under(ARGV[5]) or get('committing') ~= '' then return {'phase'} end
if anyone then
  if now < num('deadline') then return {'lost'} end
  redis.call('HINCRBY', rec, 'epoch', 1)
  if get('owner') ~= '' then
    put('since', str(math.min(now, num('until'))))
    redis.call('HDEL', rec, 'owner', 'until')
  end
end
put('reason', ARGV[6])
redis.call('DEL', holds)
become(TAILING)
return done()
`)

// commitScript makes the attempt irrevocable.
//
//	ARGV[5] -> attempt   ARGV[6..] -> all nodes that were alive a moment ago
//
// Returns {"phase"}, {"late"} or {"waiting"} if something is missing, in this order.
var commitScript = redis.NewScript(held + `
if not under(ARGV[5]) or get('aepoch') ~= ARGV[4] then return {'phase'} end
if get('committing') ~= '' then return answer() end
if now >= num('deadline') then return {'late'} end
if get('named') == '' then return {'waiting'} end
for i = 6, #ARGV do
  if redis.call('HGET', holds, ARGV[i]) == '0' then return {'waiting'} end
end
put('committing', 1)
return done()
`)

// switchScript moves a committed user to migrated.
//
//	ARGV[5] -> attempt   ARGV[6] -> milliseconds held
//
// Returns {"phase"} if the attempt is not committed.
var switchScript = redis.NewScript(held + `
if num('phase') == MIGRATED and get('attempt') == ARGV[5] then return answer() end
if not under(ARGV[5]) or get('committing') == '' then return {'phase'} end
redis.call('HDEL', rec, 'committing', 'reason', 'attempts', 'released')
redis.call('HSET', rec, 'migrated', str(now), 'next', str(now), 'hold', ARGV[6])
redis.call('DEL', holds)
become(MIGRATED)
return done()
`)

// holdScript tells whether a user's cutover waits for a node.
//
//	KEYS[1] -> record   KEYS[2] -> holds   ARGV[1] -> node
//
// Returns {attempt, its epoch}, or {}.
var holdScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'phase') ~= '4' or redis.call('HGET', KEYS[2], ARGV[1]) ~= '0' then return {} end
return redis.call('HMGET', KEYS[1], 'attempt', 'aepoch')
`)

package redisstate

import "github.com/redis/go-redis/v9"

// nodePrelude begins the scripts on nodes.
//
//	KEYS[1] -> lives   KEYS[2] -> id of the store   KEYS[3] -> run that was accepted   KEYS[4] -> count of joins   ARGV[1] -> the id that is due
//
// Returns {"replaced"} if the store is another one: nobody is known to be alive then, or dead. Else the scripts return {"ok", lives}, with
// lives as they are afterwards, {name, entry, name, entry, …}, so that whoever asks has looked. Nothing is decided by the server's clock
// (the model's STORE_CLOCK): it jumps, and a master that is promoted has another one.
const nodePrelude = running + `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'replaced'} end
local function life(name)
  return string.match(redis.call('HGET', KEYS[1], name) or '', '^(%S+) (%S+) (%d+) (%d+)$')
end
local function put(name, incarnation, beat, ttl, since)
  redis.call('HSET', KEYS[1], name, table.concat({incarnation, beat, ttl, since}, ' '))
end
local function all() return {'ok', redis.call('HGETALL', KEYS[1])} end
`

// joinScript registers an incarnation, if the name is free or has one of the caller's own.
//
//	ARGV[2] -> name   ARGV[3] -> incarnation   ARGV[4] -> beat   ARGV[5] -> time to live   ARGV[6..] -> former incarnations
//
// The entry tells whether it has the name.
var joinScript = redis.NewScript(nodePrelude + `
local has = life(ARGV[2])
local free = not has
for i = 6, #ARGV do free = free or has == ARGV[i] end
if free then put(ARGV[2], ARGV[3], ARGV[4], ARGV[5], redis.call('TIME')[1]) end
if free then redis.call('INCR', KEYS[4]) end
return all()
`)

// joinsScript counts those that have ever joined.
//
// Returns {"ok", how many}.
var joinsScript = redis.NewScript(nodePrelude + `
return {'ok', redis.call('GET', KEYS[4]) or '0'}
`)

// beatScript replaces the beat of an incarnation, and what it promises.
//
//	ARGV[2] -> name   ARGV[3] -> incarnation   ARGV[4] -> beat   ARGV[5] -> time to live
//
// Returns {"fenced"} if it has ended.
var beatScript = redis.NewScript(nodePrelude + `
local has, _, _, since = life(ARGV[2])
if has ~= ARGV[3] then return {'fenced'} end
put(ARGV[2], has, ARGV[4], ARGV[5], since)
return all()
`)

// lookScript looks.
var lookScript = redis.NewScript(nodePrelude + `return all()`)

// countedScript looks for who is waited for in a cutover, or waits for one. A registry that has come back older would lack nodes.
//
//	ARGV[2] -> name   ARGV[3] -> incarnation that asks; or neither
//
// Returns {"untrusted"} while it does not count, {"fenced"} if the incarnation has ended.
var countedScript = redis.NewScript(nodePrelude + `
if redis.call('GET', KEYS[3]) ~= running() then return {'untrusted'} end
if ARGV[2] and life(ARGV[2]) ~= ARGV[3] then return {'fenced'} end
return all()
`)

// leaveScript ends an incarnation.
//
//	ARGV[2] -> name   ARGV[3] -> incarnation
var leaveScript = redis.NewScript(nodePrelude + `
if life(ARGV[2]) == ARGV[3] then redis.call('HDEL', KEYS[1], ARGV[2]) end
return all()
`)

// buryScript ends an incarnation, if its beat is still the one that was seen to stand still: not to ask for that would bury one that
// has beaten since (the model's BURY_BLIND). What is deleted has a tombstone in that it is refused: no incarnation comes twice.
//
//	ARGV[2] -> name   ARGV[3] -> incarnation   ARGV[4] -> beat
var buryScript = redis.NewScript(nodePrelude + `
local has, beat = life(ARGV[2])
if has == ARGV[3] and beat == ARGV[4] then redis.call('HDEL', KEYS[1], ARGV[2]) end
return all()
`)

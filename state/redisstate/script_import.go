package redisstate

import "github.com/redis/go-redis/v9"

// takeScript begins an import in a store without nodes. Which run was accepted, and who is on the roster, was said of other records than
// those to come.
//
//	KEYS[1] -> lives   KEYS[2] -> id of the store   KEYS[3] -> run that was accepted   KEYS[4] -> roster
//	ARGV[1] -> what the store has in place of an id, or ""   ARGV[2] -> the mark
//
// Returns {"replaced"} if it has something else by now, {"notempty"} if a node has joined.
var takeScript = redis.NewScript(`
local has = redis.call('GET', KEYS[2]) or ''
if has == ARGV[2] then return {'ok'} end
if has ~= ARGV[1] then return {'replaced'} end
if redis.call('HLEN', KEYS[1]) > 0 then return {'notempty'} end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[3], KEYS[4])
return {'ok'}
`)

// emptyScript counts the users of a shard.
//
//	KEYS[1] -> id   KEYS[2..8] -> users of phase 1..7   KEYS[9] -> run that was accepted   KEYS[10] -> roster   ARGV[1] -> what a mark begins with
//
// Returns {"notempty"} if there are some who are no import's.
const emptyScript = `
local has, users = redis.call('GET', KEYS[1]) or '', 0
for i = 2, 8 do users = users + redis.call('ZCARD', KEYS[i]) end
if users > 0 and string.sub(has, 1, #ARGV[1]) ~= ARGV[1] then return {'notempty'} end
`

// lookEmptyScript is emptyScript alone.
var lookEmptyScript = redis.NewScript(emptyScript + `return {'ok'}`)

// markScript marks an empty shard, or one that an import has left, as one of this import. It forgets what takeScript does.
//
//	ARGV[2] -> the mark
var markScript = redis.NewScript(emptyScript + `
redis.call('SET', KEYS[1], ARGV[2] .. ' 0')
redis.call('DEL', KEYS[9], KEYS[10])
return {'ok'}
`)

// markClaimsScript does so with the claims.
//
//	KEYS[1] -> the claims' mark   ARGV[1] -> the mark
var markClaimsScript = redis.NewScript(`
redis.call('SET', KEYS[1], ARGV[1] .. ' 0')
return {'ok'}
`)

// wipeScript deletes what an import has left of a user.
//
//	KEYS[1..15] -> as exceptionKeys   KEYS[16] -> id   ARGV[1] -> user   ARGV[2] -> the shard's mark
//
// Returns {"torn"} if the shard has another one.
var wipeScript = redis.NewScript(`
if redis.call('GET', KEYS[16]) ~= ARGV[2] then return {'torn'} end
redis.call('DEL', KEYS[1], KEYS[3], KEYS[4], KEYS[13], KEYS[14], KEYS[15])
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 5, 11 do redis.call('ZREM', KEYS[i], ARGV[1]) end
return {'ok'}
`)

// unclaimScript deletes what an import has left of a claim.
//
//	KEYS[1] -> token   KEYS[2] -> the claims' mark   ARGV[1] -> what it has to be
var unclaimScript = redis.NewScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'torn'} end
redis.call('DEL', KEYS[1])
return {'ok'}
`)

// fillScript writes a part of one tag's content. These parts are counted in the mark: each finds it as the one before has left it, or as it has left
// it itself if it is repeated. So a server that loses writes in the middle of an import is found out, and so is another import.
//
//	KEYS[1] -> the mark   KEYS[2..] -> what is written   ARGV[1] -> what the mark has to be   ARGV[2] -> what it becomes
//	ARGV[3..] -> a command, the number of its key, how many words follow, and these; and so on
//
// Returns {"torn"} if the mark is another one, {"twice"} if HSETNX finds its field.
var fillScript = redis.NewScript(`
local mark = redis.call('GET', KEYS[1])
local again = mark == ARGV[2]
if mark ~= ARGV[1] and not again then return {'torn'} end
redis.call('SET', KEYS[1], ARGV[2])
local i = 3
while i <= #ARGV do
  local last = i + 2 + ARGV[i + 2]
  local is = redis.call(ARGV[i], KEYS[tonumber(ARGV[i + 1])], unpack(ARGV, i + 3, last))
  if ARGV[i] == 'HSETNX' and is == 0 and not again then return {'twice'} end
  i = last + 1
end
return {'ok'}
`)

// finishScript ends an import.
//
//	KEYS[1] -> id   KEYS[2] -> roster   ARGV[1] -> the mark   ARGV[2] -> the fresh id   ARGV[3..] -> nodes of the roster
//
// Returns what is in the place of the id.
var finishScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  for i = 3, #ARGV do redis.call('HSET', KEYS[2], ARGV[i], '') end
  redis.call('SET', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])
`)

// markedScript reports whether all that has been written is there.
//
//	KEYS[1] -> the mark   ARGV[1] -> what it has to be
//
// Returns {"torn"} if it is not.
var markedScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'torn'} end
return {'ok'}
`)

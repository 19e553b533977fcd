package redisstate

import "github.com/redis/go-redis/v9"

// running begins all scripts that ask or tell whether records count. The run of a server is its replication id: Redis makes a new one at
// every start and every promotion (and when a master has been without replicas for an hour, which costs no more than another round of
// posting). A server's run_id would be the same when it is promoted again. It is asked for in the script, and not once for each
// connection, because a server may become a replica, take another's data and be promoted under connections that stay.
const running = `
local function running() return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or '' end
`

// runScript returns the present run, or "".
//
//	KEYS -> of the tag whose server is asked
var runScript = redis.NewScript(running + `return running()`)

// posting goes on where a run may be accepted.
//
//	KEYS[1] -> run that was accepted   KEYS[2] -> roster   KEYS[3] -> id of the store   ARGV[1] -> the id that is due
//
// An entry of the roster is the run to which the node has posted, "ready " and the run for which it is, "" for none, or "gone".
const posting = running + `
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return {'replaced'} end
local now = running()
local function accept()
  for _, v in ipairs(redis.call('HVALS', KEYS[2])) do
    if v ~= now and v ~= 'gone' then return end
  end
  redis.call('SET', KEYS[1], now)
end
`

// doubtScript tells how far the run is accepted.
//
// Returns {"ok", the present run, the accepted one or "", roster: {name, entry, name, entry, …}}.
var doubtScript = redis.NewScript(posting + `
return {'ok', now, redis.call('GET', KEYS[1]) or '', redis.call('HGETALL', KEYS[2])}
`)

// readyScript notes that a node is ready to post, and puts others on the roster.
//
//	ARGV[2] -> the run for which it is   ARGV[3] -> node   ARGV[4..] -> others
//
// Returns {"untrusted"} in another run.
var readyScript = redis.NewScript(posting + `
if now ~= ARGV[2] then return {'untrusted'} end
if redis.call('HGET', KEYS[2], ARGV[3]) ~= now then redis.call('HSET', KEYS[2], ARGV[3], 'ready ' .. now) end
for i = 4, #ARGV do redis.call('HSETNX', KEYS[2], ARGV[i], '') end
return {'ok'}
`)

// postScript notes that a node has posted, and accepts the run if it was the last one.
//
//	KEYS[4] -> lives, among the nodes' keys   ARGV[2] -> the run   ARGV[3] -> node   ARGV[4] -> its incarnation
//
// Returns {"untrusted"} in another run, {"fenced"} if the incarnation has ended.
var postScript = redis.NewScript(posting + `
if now ~= ARGV[2] then return {'untrusted'} end
if KEYS[4] and string.match(redis.call('HGET', KEYS[4], ARGV[3]) or '', '^%S+') ~= ARGV[4] then return {'fenced'} end
redis.call('HSET', KEYS[2], ARGV[3], now)
accept()
return {'ok'}
`)

// forgetScript takes a node off the roster. Its entry stays, so that it is not put there again by those who have not heard of it.
//
//	ARGV[2] -> node
//
// Returns {"unknown"} if it is not on it.
var forgetScript = redis.NewScript(posting + `
local entry = redis.call('HGET', KEYS[2], ARGV[2])
if not entry or entry == 'gone' then return {'unknown'} end
redis.call('HSET', KEYS[2], ARGV[2], 'gone')
accept()
return {'ok'}
`)

// switchedScript looks for users at the target, in any run.
//
//	KEYS[1] -> id of the store   KEYS[2..] -> records   ARGV[1] -> the id that is due
//
// Returns {"ok", phases}, "" for who is unknown.
var switchedScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'replaced'} end
local phases = {}
for i = 2, #KEYS do phases[i - 1] = redis.call('HGET', KEYS[i], 'phase') or '' end
return {'ok', phases}
`)

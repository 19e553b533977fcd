package redisstate

import "github.com/redis/go-redis/v9"

// prelude begins every script of one user.
//
//	KEYS[1] -> record   KEYS[2] -> due queue   KEYS[3] -> holds   KEYS[4] -> folders   KEYS[5..11] -> users of phase 1..7
//	KEYS[12] -> run that was accepted
//	ARGV[1] -> user     ARGV[2] -> operation id
//
// Returns {code} or, after a change, {"ok", now, fields of the record}. now and all times are microseconds. The codes
// are those of codes in store.go. Numbers of 16 digits must not be written by tostring, which would round them.
const prelude = running + `
local user, op = ARGV[1], ARGV[2]
local rec, due, holds, folders = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local BEHIND = 2 ^ 52 -- microseconds, in the year 2112: what is added to it is exact until then
local COPYING, TAILING, CUTOVER, MIGRATED, FINALIZED, HELD = 2, 3, 4, 5, 6, 7
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]

local function untrusted() return redis.call('GET', KEYS[12]) ~= running() end
local function str(n) return string.format('%.0f', n) end
local function get(f) return redis.call('HGET', rec, f) or '' end
local function num(f) return tonumber(get(f)) or 0 end
local function put(f, v)
  if v == '' then redis.call('HDEL', rec, f) else redis.call('HSET', rec, f, v) end
end
local function answer() return {'ok', str(now), redis.call('HGETALL', rec)} end

local function leased() return get('owner') ~= '' and now < num('until') end
local function lost(owner, epoch)
  return not leased() or get('owner') ~= owner or get('epoch') ~= epoch
end
local function under(attempt) return num('phase') == CUTOVER and get('attempt') == attempt end

local function become(p)
  local was = num('phase')
  if was ~= 0 then redis.call('ZREM', KEYS[4 + was], user) end
  redis.call('ZADD', KEYS[4 + p], 0, user)
  put('phase', p)
end

-- queue puts the user where it belongs in the due queue: since it is free, but not before its next try. In cutover clients wait, so then at once.
-- Migrated users stand behind all others, those of them who have a next try.
local function queue()
  local p = num('phase')
  if p > CUTOVER and (p ~= MIGRATED or get('next') == '') then
    redis.call('ZREM', due, user)
    return
  end
  local at = num('since')
  if get('owner') ~= '' then at = math.max(at, num('until')) end
  if p ~= CUTOVER then at = math.max(at, num('next')) end
  if p == MIGRATED then at = at + BEHIND end
  redis.call('ZADD', due, str(at), user)
end

local function done()
  put('op', op)
  queue()
  redis.call('PUBLISH', 'ferry:changes', user)
  return answer()
end
`

// known is how all but offer and repair go on: they are refused while records do not count, an unknown user is refused, and an operation
// that was done already is answered again.
const known = prelude + `
if untrusted() then return {'untrusted'} end
if redis.call('EXISTS', rec) == 0 then return {'unknown'} end
if get('op') == op then return answer() end
`

// held is how the scripts of a worker go on.
//
//	ARGV[3] -> owner   ARGV[4] -> epoch
//
// Returns {"lost"} unless that is the lease.
const held = known + `
if lost(ARGV[3], ARGV[4]) then return {'lost'} end
`

// offerScript makes a pending record if there is none.
//
//	KEYS[13] -> id of the store   ARGV[3] -> the id that is due
//
// Returns {"replaced"} if the store is another one: the user may have been switched in the one before.
var offerScript = redis.NewScript(prelude + `
if redis.call('GET', KEYS[13]) ~= ARGV[3] then return {'replaced'} end
if untrusted() then return {'untrusted'} end
if redis.call('EXISTS', rec) == 1 then return answer() end
put('created', str(now))
put('since', str(now))
become(1)
return done()
`)

// reads is how scripts go on that read what is known of a user.
//
//	KEYS[1] -> record   KEYS[2] -> id of the store   KEYS[3] -> run that was accepted   ARGV[1] -> the id that is due
//	ARGV[2] -> "show": it is only shown, and does not have to count
//
// Returns {"unknown"}, {"untrusted"}, or {"replaced"} if the store is another one.
const reads = running + `
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'replaced'} end
if ARGV[2] ~= 'show' and redis.call('GET', KEYS[3]) ~= running() then return {'untrusted'} end
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unknown'} end
`

// readScript reads a record; the time tells whether the lease has ended.
//
// Returns {"ok", now, fields}.
var readScript = redis.NewScript(reads + `
local t = redis.call('TIME')
return {'ok', string.format('%.0f', t[1] * 1000000 + t[2]), redis.call('HGETALL', KEYS[1])}
`)

// foldersScript reads the folders of a user. They count as the record does, which is looked at in the same moment: a store that is emptied
// or restored in between would show none, and a node would remember the user's switch without the folders that views need.
//
//	KEYS[4] -> folders
//
// Returns {"ok", {folder, the folder packed, …}}.
var foldersScript = redis.NewScript(reads + `return {'ok', redis.call('HGETALL', KEYS[4])}`)

// hashScript reads a hash.
//
//	KEYS[1] -> hash
//
// Returns field, value, field, value …
var hashScript = redis.NewScript(`return redis.call('HGETALL', KEYS[1])`)

// phaseScript lists all users of a shard in a phase.
//
//	KEYS[1] -> users of the phase
//
// Returns names.
var phaseScript = redis.NewScript(`return redis.call('ZRANGE', KEYS[1], 0, -1)`)

// retryScript takes the user out of held or makes the next try due now. Returns {"phase"} for finalized users.
var retryScript = redis.NewScript(known + `
local p = num('phase')
if p == FINALIZED then return {'phase'} end
if p == HELD then
  redis.call('HDEL', rec, 'reason', 'attempts', 'next')
  put('since', str(now))
  become(1)
elseif num('next') > now or p == MIGRATED and get('next') == '' then
  put('next', str(now))
end
return done()
`)

// parkScript lets the engine move mail of unknown origin aside. Returns {"phase"} for users on the target.
var parkScript = redis.NewScript(known + `
local p = num('phase')
if p == MIGRATED or p == FINALIZED then return {'phase'} end
put('park', '1')
return done()
`)

// releaseUserScript lets the engine switch the user whatever the policy says. Returns {"phase"} for users on the target.
var releaseUserScript = redis.NewScript(known + `
local p = num('phase')
if p == MIGRATED or p == FINALIZED then return {'phase'} end
put('released', '1')
if num('next') > now then put('next', str(now)) end
return done()
`)

// tallyScript adds to the counts of sessions. Many nodes may tally at once, so that it was done is remembered beside the record.
//
//	KEYS[13] -> operation   ARGV[3] -> moved   ARGV[4], ARGV[6] … -> reason, in order   ARGV[5], ARGV[7] … -> sessions that ended by it
//
// As state.Record.AddEnded says, the last of state.MaxEnded places is kept for state.EndedOther.
var tallyScript = redis.NewScript(known + `
if not redis.call('SET', KEYS[13], 1, 'NX', 'PX', 60000) then return answer() end
redis.call('HINCRBY', rec, 'moved', ARGV[3])
local function full()
  local named = 0
  for _, f in ipairs(redis.call('HKEYS', rec)) do
    if string.sub(f, 1, 6) == 'ended:' and f ~= 'ended:other' then named = named + 1 end
  end
  return named >= 15
end
for i = 4, #ARGV, 2 do
  local f = 'ended:' .. ARGV[i]
  if redis.call('HEXISTS', rec, f) == 0 and full() then f = 'ended:other' end
  redis.call('HINCRBY', rec, f, ARGV[i + 1])
  redis.call('HINCRBY', rec, 'disconnected', ARGV[i + 1])
end
redis.call('PUBLISH', 'ferry:changes', user)
return answer()
`)

// acquireScript takes the lease.
//
//	ARGV[3] -> owner   ARGV[4] -> time to live
//
// Returns {"phase"} for users who are finalized or held, {"busy"} while another owner's lease is valid.
var acquireScript = redis.NewScript(known + `
local p = num('phase')
if p == FINALIZED or p == HELD then return {'phase'} end
if leased() and get('owner') ~= ARGV[3] then return {'busy'} end
redis.call('HINCRBY', rec, 'epoch', 1)
put('owner', ARGV[3])
put('until', str(now + ARGV[4]))
return done()
`)

// renewScript extends the lease.
//
//	ARGV[5] -> time to live
var renewScript = redis.NewScript(held + `
put('until', str(now + ARGV[5]))
queue()
return {'ok'}
`)

// releaseScript ends the lease.
var releaseScript = redis.NewScript(held + `
redis.call('HDEL', rec, 'owner', 'until')
put('since', str(now))
return done()
`)

// advanceScript moves the user to another phase or writes the change alone.
//
//	ARGV[5] -> phase   ARGV[6] -> the phases from which that is legal, as digits   ARGV[7] -> reason   ARGV[8] -> fidelity or ""
//	ARGV[9] -> time to the next try after a failed one, or 0   ARGV[10] -> time to the next one after one that did not fail, 0 or -1 for none
//
// Returns {"phase"} if it is not legal.
var advanceScript = redis.NewScript(held + `
local p, to, after, again = num('phase'), tonumber(ARGV[5]), tonumber(ARGV[9]), tonumber(ARGV[10])
if to ~= p and not string.find(ARGV[6], p, 1, true) then return {'phase'} end
if to > p and to ~= HELD then redis.call('HDEL', rec, 'attempts', 'next') end
if after ~= 0 then
  redis.call('HINCRBY', rec, 'attempts', 1)
  put('next', str(now + after))
end
if again ~= 0 then redis.call('HDEL', rec, 'attempts', 'next') end
if again > 0 then put('next', str(now + again)) end
put('reason', ARGV[7])
if ARGV[8] ~= '' then put('fidelity', ARGV[8]) end
if to == COPYING and get('started') == '' then put('started', str(now)) end
if to ~= p then become(to) end
if to == FINALIZED and get('fidelity') == 'exact' and num('ng') == 0 then redis.call('DEL', folders) end
return done()
`)

// reportScript replaces the progress.
//
//	ARGV[5..10] -> folders, messages, messages done, bytes done, exceptions, milliseconds held
//	ARGV[11..14] -> stragglers, those left, times of the last straggler and of the last pass
//	ARGV[15..16] -> excluded folders, folders with gaps
var reportScript = redis.NewScript(held + `
redis.call('HSET', rec, 'nf', ARGV[5], 'nm', ARGV[6], 'nd', ARGV[7], 'nb', ARGV[8], 'ne', ARGV[9], 'hold', ARGV[10],
  'sb', ARGV[11], 'sl', ARGV[12], 'slast', ARGV[13], 'spass', ARGV[14], 'nx', ARGV[15], 'ng', ARGV[16])
redis.call('PUBLISH', 'ferry:changes', user)
return {'ok'}
`)

// putFoldersScript writes folders.
//
//	ARGV[5], ARGV[7] … -> name   ARGV[6], ARGV[8] … -> the folder, packed
var putFoldersScript = redis.NewScript(held + `
for i = 5, #ARGV, 2 do redis.call('HSET', folders, ARGV[i], ARGV[i + 1]) end
return {'ok'}
`)

// deleteFolderScript forgets a folder.
//
//	ARGV[5] -> name
var deleteFolderScript = redis.NewScript(held + `
redis.call('HDEL', folders, ARGV[5])
return {'ok'}
`)

// claimScript binds tokens to a user, all or none.
//
//	KEYS -> tokens   ARGV[1] -> user
//
// Returns the user to whom the first token is bound that is not bound to this one, or "".
var claimScript = redis.NewScript(`
for _, k in ipairs(KEYS) do
  local u = redis.call('GET', k)
  if u and u ~= ARGV[1] then return u end
end
for _, k in ipairs(KEYS) do redis.call('SET', k, ARGV[1]) end
return ''
`)

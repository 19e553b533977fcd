package redisstate

import (
	"context"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

// repairScript makes the record tell of a switch that the store has lost.
//
//	KEYS[13] -> id of the store   ARGV[3] -> the id that is due
//	ARGV[4..8] -> attempt, fidelity, time of the switch, folders with gaps, reason
//	ARGV[9], ARGV[11] … -> folder   ARGV[10], ARGV[12] … -> the folder, packed
//
// Returns {"replaced"} if the store is another one.
var repairScript = redis.NewScript(prelude + `
if redis.call('GET', KEYS[13]) ~= ARGV[3] then return {'replaced'} end
local p = num('phase')
if p == MIGRATED or p == FINALIZED then return answer() end
if p == 0 then put('created', str(now)) end
redis.call('HINCRBY', rec, 'epoch', 1)
redis.call('HDEL', rec, 'owner', 'until', 'committing', 'named', 'attempts', 'next', 'released')
redis.call('HSET', rec, 'attempt', ARGV[4], 'fidelity', ARGV[5], 'ng', ARGV[7], 'reason', ARGV[8], 'since', str(now))
if ARGV[6] ~= '0' then put('migrated', ARGV[6]) end
redis.call('DEL', holds)
for i = 9, #ARGV, 2 do redis.call('HSET', folders, ARGV[i], ARGV[i + 1]) end
become(MIGRATED)
return done()
`)

// Repair implements state.Journals.
func (s *Store) Repair(ctx context.Context, rec state.Record, folders []state.Folder) (r state.Record, err error) {
	defer note(&err, "repair", rec.User)
	if err := state.CheckRepair(rec, folders); err != nil {
		return state.Record{}, err
	}
	args := []any{rec.User, newOp(), s.id, rec.Attempt, string(rec.Fidelity), instant(rec.Migrated), rec.Skipped, state.Repaired}
	for _, f := range folders {
		args = append(args, f.Name, f.Pack())
	}
	rest, err := s.call(ctx, repairScript, offerKeys(rec.User), args...)
	if err != nil {
		return state.Record{}, err
	}
	return record(rec.User, rest)
}

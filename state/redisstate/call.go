package redisstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

// noOp is the operation id of scripts that may be repeated without one.
const noOp = "-"

// newOp returns an operation id, by which a script that is repeated knows itself.
func newOp() string { return rand.Text() }

// lost reports whether err leaves open whether the server has run what was sent. A reply of the server's own does
// not, and past the end of ctx nobody waits for a better answer.
func lost(ctx context.Context, err error) bool {
	var reply redis.Error
	var short *shortfall
	return err != nil && !errors.As(err, &reply) && !errors.As(err, &short) && ctx.Err() == nil
}

// query is one of many runs of a script.
type query struct {
	keys []string
	args []any
}

// eval runs a script, and once more if the reply was lost. So args must hold an operation id, or running it twice
// must change nothing.
func (s *Store) eval(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	answers, err := s.all(ctx, script, []query{{keys, args}})
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// call is eval for scripts that answer with a code. It returns what follows "ok".
func (s *Store) call(ctx context.Context, script *redis.Script, keys []string, args ...any) ([]any, error) {
	v, err := s.eval(ctx, script, keys, args...)
	if err != nil {
		return nil, err
	}
	return coded(v)
}

func coded(v any) ([]any, error) {
	answer, _ := v.([]any)
	if len(answer) == 0 {
		return nil, fmt.Errorf("a script answered %v", v)
	}
	code, _ := answer[0].(string)
	if code == "ok" {
		return answer[1:], nil
	}
	if err, ok := codes[code]; ok {
		return nil, err
	}
	return nil, fmt.Errorf("a script answered %q", code)
}

// forUser runs a transition of user and returns the record after it.
func (s *Store) forUser(ctx context.Context, script *redis.Script, user, op string, args ...any) (state.Record, error) {
	rest, err := s.call(ctx, script, userKeys(user), append([]any{user, op}, args...)...)
	if err != nil {
		return state.Record{}, err
	}
	return record(user, rest)
}

// forLease is forUser for scripts that begin with held.
func (s *Store) forLease(ctx context.Context, script *redis.Script, l state.Lease, op string, args ...any) ([]any, error) {
	return s.call(ctx, script, userKeys(l.User), append([]any{l.User, op, l.Owner, l.Epoch}, args...)...)
}

// all runs a script that may be repeated for many keys, in one round trip to each master.
func (s *Store) all(ctx context.Context, script *redis.Script, queries []query) ([]any, error) {
	return s.run(ctx, script, queries, true)
}

// eachShard runs a script that may be repeated for every shard.
func (s *Store) eachShard(ctx context.Context, script *redis.Script, keys func(shard int) []string, args ...any) ([]any, error) {
	return s.all(ctx, script, perShard(keys, args))
}

// glance is all for what only lists users: by that nobody is led anywhere, and operators want to see it most when replicas are missing.
// It is not confirmed.
func (s *Store) glance(ctx context.Context, script *redis.Script, queries []query) ([]any, error) {
	return s.run(ctx, script, queries, false)
}

// glanceAtShards is glance for every shard.
func (s *Store) glanceAtShards(ctx context.Context, script *redis.Script, keys func(shard int) []string, args ...any) ([]any, error) {
	return s.glance(ctx, script, perShard(keys, args))
}

func perShard(keys func(shard int) []string, args []any) []query {
	queries := make([]query, shards)
	for n := range queries {
		queries[n] = query{keys: keys(n), args: args}
	}
	return queries
}

// pairs returns what a script answers of a hash.
func pairs(v any) (map[string]string, error) {
	flat, err := texts(v)
	if err != nil {
		return nil, err
	}
	of := make(map[string]string, len(flat)/2+1)
	for i := 0; i+1 < len(flat); i += 2 {
		of[flat[i]] = flat[i+1]
	}
	return of, nil
}

// texts returns the strings of an answer.
func texts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("a script answered %v", v)
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, fmt.Errorf("a script answered %v", v)
		}
	}
	return out, nil
}

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

// lost reports whether err leaves open whether the server has run what was sent. A reply of the server's own does not, and past the
// end of ctx nobody waits for a better answer.
func lost(ctx context.Context, err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply) && ctx.Err() == nil
}

// eval runs a script, and once more if the reply was lost. So args must hold an operation id, or running it twice must change nothing.
func (s *Store) eval(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := script.Run(ctx, s.client, keys, args...).Result()
	if lost(ctx, err) {
		v, err = script.Run(ctx, s.client, keys, args...).Result()
	}
	return v, err
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

// query is one of many scripts that only read.
type query struct {
	keys []string
	args []any
}

// all runs a script that only reads for many keys in one round trip. The server may not have the script yet, as after its restart; then the script
// is loaded and everything is asked again, once.
func (s *Store) all(ctx context.Context, script *redis.Script, queries []query) ([]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(queries) == 0 {
		return nil, nil
	}
	answers, err := s.pipeline(ctx, script, queries)
	switch {
	case redis.HasErrorPrefix(err, "NOSCRIPT"):
		if err := script.Load(ctx, s.client).Err(); err != nil {
			return nil, err
		}
	case !lost(ctx, err):
		return answers, err
	}
	return s.pipeline(ctx, script, queries)
}

func (s *Store) pipeline(ctx context.Context, script *redis.Script, queries []query) ([]any, error) {
	pipe := s.client.Pipeline()
	for _, q := range queries {
		script.EvalSha(ctx, pipe, q.keys, q.args...)
	}
	cmds, err := pipe.Exec(ctx)
	if err != nil {
		return nil, err
	}
	answers := make([]any, len(cmds))
	for i, c := range cmds {
		answers[i], err = c.(*redis.Cmd).Result()
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// eachShard runs a script that only reads for every shard.
func (s *Store) eachShard(ctx context.Context, script *redis.Script, keys func(shard int) []string, args ...any) ([]any, error) {
	queries := make([]query, shards)
	for n := range queries {
		queries[n] = query{keys: keys(n), args: args}
	}
	return s.all(ctx, script, queries)
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

package redisstate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/state"
)

// Try finds out whether Open would succeed, warns as Open does, and writes nothing, not even the id of a new store. used reports whether
// there is a store already.
func Try(ctx context.Context, rawURL string, opts Options) (used bool, err error) {
	s, name, err := dial(rawURL, opts)
	if err != nil {
		return false, err
	}
	s.readOnly = true
	used, err = s.try(ctx, opts, name)
	if err = errors.Join(err, s.Close()); err != nil {
		return false, fmt.Errorf("open state %s: %w", name, err)
	}
	return used, nil
}

func (s *Store) try(ctx context.Context, opts Options, name string) (used bool, err error) {
	if err := s.greet(ctx, opts.Log, name); err != nil {
		return false, err
	}
	v, err := s.eval(ctx, identifyScript, idKeys(nodesIDKey), "", "")
	if err != nil {
		return false, err
	}
	id, isFresh, err := whose(fmt.Sprint(v))
	absent := errors.Is(err, state.ErrAbsent)
	if err != nil && !absent {
		return false, err
	}
	ids, err := s.eachShard(ctx, identifyScript, shardIDKeys, "", "")
	if err != nil {
		return false, err
	}
	return !absent, together(ids, id, absent || isFresh)
}

package boltstate

import (
	"bytes"
	"context"
	"time"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

var _ state.Exporter = (*Store)(nil)

// Export implements state.Exporter. The file lock keeps all other processes out, so nobody is waited for.
func (s *Store) Export(ctx context.Context, to state.Taker, _ func(string, time.Duration)) (err error) {
	defer note(&err, "export", "state")
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.quiet(ctx); err != nil {
		return err
	}
	return s.db.View(func(tx *bolt.Tx) error {
		err := each(ctx, tx.Bucket(usersBucket), nil, func(user, _ []byte) error { return export(ctx, tx, string(user), to) })
		if err != nil {
			return err
		}
		return each(ctx, tx.Bucket(claimsBucket), nil, func(token, user []byte) error { return to.Claim(ctx, string(token), string(user)) })
	})
}

// quiet returns an error if this process works on the store.
func (s *Store) quiet(ctx context.Context) error {
	now, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	if live := s.live(now); len(live) > 0 {
		return &state.Alive{Node: live[0].Name}
	}
	for user, l := range s.leases {
		return &state.Leased{User: user, Owner: l.owner, Until: l.until}
	}
	return nil
}

// export hands over all of one user.
func export(ctx context.Context, tx *bolt.Tx, user string, to state.Taker) error {
	e, err := load(tx, user)
	if err != nil {
		return err
	}
	t, err := readTally(tx, user)
	if err != nil {
		return err
	}
	if err := to.User(ctx, state.Kept{Record: e.Record, Since: e.Since, AttemptEpoch: e.AttemptEpoch, Classes: t.Of}); err != nil {
		return err
	}
	prefix := folderKey(user, "")
	err = each(ctx, tx.Bucket(foldersBucket), prefix, func(name, packed []byte) error {
		f, err := state.UnpackFolder(string(name), packed)
		if err != nil {
			return err
		}
		return to.Folder(ctx, f)
	})
	if err != nil {
		return err
	}
	return each(ctx, tx.Bucket(exceptionsBucket), prefix, func(key, packed []byte) error {
		e, err := state.UnpackException(string(key), packed)
		if err != nil {
			return err
		}
		return to.Exception(ctx, e)
	})
}

// each calls do for all of a bucket that begins with prefix, without it.
func each(ctx context.Context, b *bolt.Bucket, prefix []byte, do func(k, v []byte) error) error {
	c := b.Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(k[len(prefix):], v); err != nil {
			return err
		}
	}
	return nil
}

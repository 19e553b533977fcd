package boltstate

import (
	"bytes"
	"context"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// shown completes what the file has of a user with what is in memory.
func (s *Store) shown(e entry) state.Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.complete(e)
}

// complete is shown for who holds mu. It must be held since before the file was read: a transition changes the file, then memory, and a
// reader between the two would find progress in neither, or a new epoch without its owner. Until both are changed it is shown what was before.
func (s *Store) complete(e entry) state.Record {
	if before, ok := s.writing[e.User]; ok {
		return before
	}
	r := e.Record
	if l, ok := s.leases[r.User]; ok && l.epoch == r.Epoch && s.now().Before(l.until) {
		r.Owner, r.LeaseUntil = l.owner, l.until.Round(0).UTC()
	}
	if p, ok := s.progress[r.User]; ok {
		r.Progress = p
	}
	return r
}

// Offer implements state.Users. Most offers are of users who are known, and cost no write.
func (s *Store) Offer(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "offer", user)
	if err := state.CheckName("user", user); err != nil {
		return state.Record{}, err
	}
	if r, err = s.record(ctx, user); !errors.Is(err, state.ErrUnknown) {
		return r, err
	}
	var e entry
	var made bool
	err = s.db.Batch(func(tx *bolt.Tx) (err error) {
		if e, err = load(tx, user); err != state.ErrUnknown {
			made = false
			return err
		}
		made = true
		now := s.now().Round(0).UTC()
		e = entry{Record: state.Record{User: user, Phase: state.Pending, Created: now}, Since: now}
		return save(tx, entry{}, e)
	})
	if err != nil {
		return state.Record{}, err
	}
	if made {
		s.hub.tell(user)
	}
	return s.shown(e), nil
}

// Get implements state.Users.
func (s *Store) Get(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "read", user)
	return s.record(ctx, user)
}

func (s *Store) record(ctx context.Context, user string) (state.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, err := s.read(ctx, user)
	if err != nil {
		return state.Record{}, err
	}
	return s.complete(e), nil
}

func (s *Store) read(ctx context.Context, user string) (e entry, err error) {
	if err := ctx.Err(); err != nil {
		return entry{}, err
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		e, err = load(tx, user)
		return err
	})
	return e, err
}

// List implements state.Users.
func (s *Store) List(ctx context.Context, phase state.Phase, after string, limit int) (page []state.Record, err error) {
	defer note(&err, "list", "users")
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bucket, prefix := usersBucket, []byte(nil)
	if phase != 0 {
		bucket, prefix = phasesBucket, []byte{byte(phase)}
	}
	first := append(bytes.Clone(prefix), after...)
	s.mu.RLock()
	defer s.mu.RUnlock()
	err = s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		k, _ := c.Seek(first)
		if after != "" && bytes.Equal(k, first) {
			k, _ = c.Next()
		}
		for ; k != nil && bytes.HasPrefix(k, prefix) && len(page) < limit; k, _ = c.Next() {
			e, err := load(tx, string(k[len(prefix):]))
			if err != nil {
				return err
			}
			page = append(page, s.complete(e))
		}
		return nil
	})
	return page, err
}

// Counts implements state.Users.
func (s *Store) Counts(ctx context.Context) (counts map[state.Phase]int64, err error) {
	defer note(&err, "count", "users")
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	counts = make(map[state.Phase]int64, len(state.Phases))
	err = s.db.View(func(tx *bolt.Tx) error {
		for _, p := range state.Phases {
			counts[p] = counted(tx.Bucket(countsBucket), p)
		}
		return nil
	})
	return counts, err
}

// Claim implements state.Users.
func (s *Store) Claim(ctx context.Context, user string, tokens []string) (other string, err error) {
	defer note(&err, "claim mailbox for", user)
	if err := state.CheckName("user", user); err != nil {
		return "", err
	}
	if err := state.CheckTokens(tokens); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	bound := func(tx *bolt.Tx) (all bool) {
		all, other = true, ""
		for _, t := range tokens {
			switch v := tx.Bucket(claimsBucket).Get([]byte(t)); {
			case v == nil:
				all = false
			case string(v) != user:
				other = string(v)
				return false
			}
		}
		return all
	}
	var all bool
	if err := s.db.View(func(tx *bolt.Tx) error { all = bound(tx); return nil }); err != nil || all || other != "" {
		return other, err
	}
	err = s.db.Batch(func(tx *bolt.Tx) error {
		if bound(tx); other != "" {
			return nil
		}
		for _, t := range tokens {
			if err := tx.Bucket(claimsBucket).Put([]byte(t), []byte(user)); err != nil {
				return err
			}
		}
		return nil
	})
	return other, err
}

// Retry implements state.Users.
func (s *Store) Retry(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "retry", user)
	now, err := s.lock(ctx)
	if err != nil {
		return state.Record{}, err
	}
	defer s.write.Unlock()
	return s.change(user, func(_ *bolt.Tx, e *entry) error {
		switch {
		case e.Phase == state.Finalized:
			return state.ErrPhase
		case e.Phase == state.Held:
			e.Phase, e.Reason, e.Attempts, e.NextTry = state.Pending, "", 0, time.Time{}
			e.Since = now
		case e.NextTry.After(now), e.Phase == state.Migrated && e.NextTry.IsZero():
			e.NextTry = now.Round(0).UTC()
		}
		return nil
	}, nil)
}

// Park implements state.Users.
func (s *Store) Park(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "park for", user)
	if _, err := s.lock(ctx); err != nil {
		return state.Record{}, err
	}
	defer s.write.Unlock()
	return s.change(user, func(_ *bolt.Tx, e *entry) error {
		if e.Phase.OnTarget() {
			return state.ErrPhase
		}
		e.Park = true
		return nil
	}, nil)
}

// ReleaseUser implements state.Users.
func (s *Store) ReleaseUser(ctx context.Context, user string) (r state.Record, err error) {
	defer note(&err, "release", user)
	now, err := s.lock(ctx)
	if err != nil {
		return state.Record{}, err
	}
	defer s.write.Unlock()
	return s.change(user, func(_ *bolt.Tx, e *entry) error {
		if e.Phase.OnTarget() {
			return state.ErrPhase
		}
		e.Released = true
		if e.NextTry.After(now) {
			e.NextTry = now.Round(0).UTC()
		}
		return nil
	}, nil)
}

// Tally implements state.Users.
func (s *Store) Tally(ctx context.Context, user string, moved int64, ended map[string]int64) (err error) {
	defer note(&err, "tally sessions of", user)
	if err := state.CheckTally(moved, ended); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err = s.db.Batch(func(tx *bolt.Tx) error {
		was, err := load(tx, user)
		if err != nil {
			return err
		}
		e := was
		e.Moved += moved
		e.AddEnded(ended)
		return save(tx, was, e)
	})
	if err == nil {
		s.hub.tell(user)
	}
	return err
}

// Folders implements state.Users.
func (s *Store) Folders(ctx context.Context, user string) (folders []state.Folder, err error) {
	defer note(&err, "read folders of", user)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		if _, err := load(tx, user); err != nil {
			return err
		}
		prefix := folderKey(user, "")
		c := tx.Bucket(foldersBucket).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			f, err := state.UnpackFolder(string(k[len(prefix):]), v)
			if err != nil {
				return err
			}
			folders = append(folders, f)
		}
		return nil
	})
	return folders, err
}

// folderKey is unique because a user's name has no control character.
func folderKey(user, folder string) []byte { return []byte(user + "\x00" + folder) }

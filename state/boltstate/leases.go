package boltstate

import (
	"bytes"
	"context"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// lease is who may change a user's record.
type lease struct {
	owner string
	epoch uint64
	until time.Time
}

// holds reports whether l is the newest lease of its user and has not ended. The caller holds write.
func (s *Store) holds(l state.Lease, e entry, now time.Time) bool {
	have, ok := s.leases[l.User]
	return ok && now.Before(have.until) && have.owner == l.Owner && have.epoch == l.Epoch && e.Epoch == l.Epoch
}

// change is a transition: it reads the user's entry, lets edit change it, and writes it, all in one transaction. When
// that is durable, it runs settle, if any, under mu, and tells watchers. The caller holds write.
func (s *Store) change(user string, edit func(*bolt.Tx, *entry) error, settle func(entry)) (state.Record, error) {
	var e entry
	err := s.db.Update(func(tx *bolt.Tx) error {
		was, err := load(tx, user)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.writing[user] = s.complete(was)
		s.mu.Unlock()
		e = was
		if p, ok := s.progress[user]; ok {
			e.Progress = p
		}
		if err := edit(tx, &e); err != nil {
			return err
		}
		return save(tx, was, e)
	})
	s.mu.Lock()
	delete(s.writing, user)
	if err == nil {
		delete(s.progress, user)
		if settle != nil {
			settle(e)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return state.Record{}, err
	}
	s.hub.tell(user)
	return s.shown(e), nil
}

// changeHeld is change for the holder of l.
func (s *Store) changeHeld(l state.Lease, now time.Time, edit func(*bolt.Tx, *entry) error, settle func(entry)) (state.Record, error) {
	return s.change(l.User, func(tx *bolt.Tx, e *entry) error {
		if !s.holds(l, *e, now) {
			return state.ErrLost
		}
		return edit(tx, e)
	}, settle)
}

// lockHeld is lock for what the holder of l does beside the record.
func (s *Store) lockHeld(ctx context.Context, l state.Lease) (now time.Time, err error) {
	now, err = s.lock(ctx)
	if err != nil {
		return now, err
	}
	e, err := s.read(ctx, l.User)
	if err == nil && !s.holds(l, e, now) {
		err = state.ErrLost
	}
	if err != nil {
		s.write.Unlock()
	}
	return now, err
}

// Acquire implements state.Leases.
func (s *Store) Acquire(ctx context.Context, user, owner string, ttl time.Duration) (l state.Lease, r state.Record, err error) {
	defer note(&err, "acquire", user)
	if err := errors.Join(state.CheckName("owner", owner), state.CheckSpan("ttl", ttl)); err != nil {
		return state.Lease{}, state.Record{}, err
	}
	now, err := s.lock(ctx)
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	defer s.write.Unlock()
	r, err = s.change(user, func(_ *bolt.Tx, e *entry) error {
		if e.Phase == state.Finalized || e.Phase == state.Held {
			return state.ErrPhase
		}
		if have, ok := s.leases[user]; ok && have.owner != owner && now.Before(have.until) {
			return state.ErrBusy
		}
		e.Epoch++
		return nil
	}, func(e entry) {
		s.leases[user] = lease{owner: owner, epoch: e.Epoch, until: now.Add(ttl)}
	})
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	return state.Lease{User: user, Owner: owner, Epoch: r.Epoch}, r, nil
}

// Renew implements state.Leases.
func (s *Store) Renew(ctx context.Context, l state.Lease, ttl time.Duration) (err error) {
	defer note(&err, "renew lease of", l.User)
	if err := state.CheckSpan("ttl", ttl); err != nil {
		return err
	}
	now, err := s.lockHeld(ctx, l)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases[l.User] = lease{owner: l.Owner, epoch: l.Epoch, until: now.Add(ttl)}
	return nil
}

// Release implements state.Leases.
func (s *Store) Release(ctx context.Context, l state.Lease) (err error) {
	defer note(&err, "release", l.User)
	now, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	_, err = s.changeHeld(l, now, func(_ *bolt.Tx, e *entry) error {
		e.Since = now.Round(0)
		return nil
	}, func(entry) { delete(s.leases, l.User) })
	return err
}

// Advance implements state.Leases.
func (s *Store) Advance(ctx context.Context, l state.Lease, to state.Phase, c state.Change) (r state.Record, err error) {
	defer note(&err, "advance", l.User)
	if err := c.Check(); err != nil {
		return state.Record{}, err
	}
	now, err := s.lock(ctx)
	if err != nil {
		return state.Record{}, err
	}
	defer s.write.Unlock()
	return s.changeHeld(l, now, func(tx *bolt.Tx, e *entry) error {
		if to != e.Phase && (!e.Phase.CanBecome(to) || e.Phase == state.Cutover || to == state.Cutover) {
			return state.ErrPhase
		}
		if to > e.Phase && to != state.Held {
			e.Attempts, e.NextTry = 0, time.Time{}
		}
		if c.Retry != 0 {
			e.Attempts++
			e.NextTry = now.Add(c.Retry).Round(0).UTC()
		}
		if c.Again != 0 {
			e.Attempts, e.NextTry = 0, time.Time{}
		}
		if c.Again > 0 {
			e.NextTry = now.Add(c.Again).Round(0).UTC()
		}
		if c.Fidelity != "" {
			e.Fidelity = c.Fidelity
		}
		if to == state.Copying && e.Started.IsZero() {
			e.Started = now.Round(0).UTC()
		}
		e.Reason = state.CutReason(c.Reason)
		e.Phase = to
		if to == state.Finalized && e.Fidelity == state.Exact && e.Skipped == 0 {
			return forgetFolders(tx, e.User)
		}
		return nil
	}, nil)
}

// forgetFolders deletes what is kept of the folders of user.
func forgetFolders(tx *bolt.Tx, user string) error {
	prefix := folderKey(user, "")
	c := tx.Bucket(foldersBucket).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// Report implements state.Leases.
func (s *Store) Report(ctx context.Context, l state.Lease, p state.Progress) (err error) {
	defer note(&err, "report on", l.User)
	if _, err := s.lockHeld(ctx, l); err != nil {
		return err
	}
	defer s.write.Unlock()
	s.mu.Lock()
	s.progress[l.User] = p
	s.mu.Unlock()
	s.hub.tell(l.User)
	return nil
}

// PutFolders implements state.Leases.
func (s *Store) PutFolders(ctx context.Context, l state.Lease, folders ...state.Folder) (err error) {
	defer note(&err, "note folders of", l.User)
	for _, f := range folders {
		if err := f.Check(); err != nil {
			return err
		}
	}
	if _, err := s.lockHeld(ctx, l); err != nil {
		return err
	}
	defer s.write.Unlock()
	return s.db.Update(func(tx *bolt.Tx) error {
		for _, f := range folders {
			if err := tx.Bucket(foldersBucket).Put(folderKey(l.User, f.Name), f.Pack()); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteFolder implements state.Leases.
func (s *Store) DeleteFolder(ctx context.Context, l state.Lease, name string) (err error) {
	defer note(&err, "forget folder of", l.User)
	if _, err := s.lockHeld(ctx, l); err != nil {
		return err
	}
	defer s.write.Unlock()
	return s.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(foldersBucket).Delete(folderKey(l.User, name))
	})
}

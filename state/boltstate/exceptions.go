package boltstate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// tally counts the exceptions of one user.
type tally struct {
	Listed int              `json:"l"`
	Of     map[string]int64 `json:"c"` // by class, with those that are not listed
}

func readTally(tx *bolt.Tx, user string) (t tally, err error) {
	t.Of = map[string]int64{}
	if b := tx.Bucket(tallyBucket).Get([]byte(user)); b != nil {
		if err := json.Unmarshal(b, &t); err != nil {
			return t, fmt.Errorf("read counts of exceptions: %w", err)
		}
	}
	return t, nil
}

func (t *tally) write(tx *bolt.Tx, user string) error {
	if t.Listed == 0 {
		return tx.Bucket(tallyBucket).Delete([]byte(user))
	}
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return tx.Bucket(tallyBucket).Put([]byte(user), b)
}

// less counts one exception less that was listed.
func (t *tally) less(class string) {
	t.Listed--
	if t.Of[class]--; t.Of[class] <= 0 {
		delete(t.Of, class)
	}
}

// changeExceptions lets edit change the list of the holder of l.
func (s *Store) changeExceptions(ctx context.Context, l state.Lease, edit func(*bolt.Bucket, *tally) error) error {
	if _, err := s.lockHeld(ctx, l); err != nil {
		return err
	}
	defer s.write.Unlock()
	return s.db.Update(func(tx *bolt.Tx) error {
		t, err := readTally(tx, l.User)
		if err != nil {
			return err
		}
		if err := edit(tx.Bucket(exceptionsBucket), &t); err != nil {
			return err
		}
		return t.write(tx, l.User)
	})
}

// PutExceptions implements state.Exceptions.
func (s *Store) PutExceptions(ctx context.Context, l state.Lease, list ...state.Exception) (err error) {
	defer note(&err, "note exceptions of", l.User)
	if err := state.CheckExceptions(list); err != nil {
		return err
	}
	return s.changeExceptions(ctx, l, func(b *bolt.Bucket, t *tally) error {
		for _, e := range list {
			key := folderKey(l.User, e.Key())
			if b.Get(key) == nil {
				t.Of[e.Class]++
				if t.Listed >= state.MaxExceptions {
					continue
				}
				t.Listed++
			}
			if err := b.Put(key, e.Pack()); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteException implements state.Exceptions.
func (s *Store) DeleteException(ctx context.Context, l state.Lease, e state.Exception) (err error) {
	defer note(&err, "forget exception of", l.User)
	return s.changeExceptions(ctx, l, func(b *bolt.Bucket, t *tally) error {
		key := folderKey(l.User, e.Key())
		if b.Get(key) == nil {
			return nil
		}
		t.less(e.Class)
		return b.Delete(key)
	})
}

// DeleteExceptions implements state.Exceptions.
func (s *Store) DeleteExceptions(ctx context.Context, l state.Lease, folder string) (err error) {
	defer note(&err, "forget exceptions of", l.User)
	return s.changeExceptions(ctx, l, func(b *bolt.Bucket, t *tally) error {
		prefix := folderKey(l.User, folder+"\x00")
		c := b.Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
			t.less(string(k[len(prefix)+4:]))
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Exceptions implements state.Exceptions.
func (s *Store) Exceptions(ctx context.Context, user, after string, limit int) (page []state.Exception, err error) {
	defer note(&err, "read exceptions of", user)
	if _, err := s.read(ctx, user); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		prefix, first := folderKey(user, ""), folderKey(user, after)
		c := tx.Bucket(exceptionsBucket).Cursor()
		k, v := c.Seek(first)
		if after != "" && bytes.Equal(k, first) {
			k, v = c.Next()
		}
		for ; bytes.HasPrefix(k, prefix) && len(page) < limit; k, v = c.Next() {
			e, err := state.UnpackException(string(k[len(prefix):]), v)
			if err != nil {
				return err
			}
			page = append(page, e)
		}
		return nil
	})
	return page, err
}

// CountExceptions implements state.Exceptions.
func (s *Store) CountExceptions(ctx context.Context, user string) (of map[string]int64, err error) {
	defer note(&err, "count exceptions of", user)
	if _, err := s.read(ctx, user); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		t, err := readTally(tx, user)
		of = t.Of
		return err
	})
	return of, err
}

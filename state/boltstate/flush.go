package boltstate

import (
	"time"

	bolt "go.etcd.io/bbolt"
)

// flush writes the progress that is in memory only, and notes leases that have ended, so that what is in memory does
// not grow with the users.
func (s *Store) flush() error {
	s.write.Lock()
	defer s.write.Unlock()
	now := s.now()
	ended := map[string]time.Time{}
	for user, l := range s.leases {
		if !now.Before(l.until) {
			ended[user] = l.until
		}
	}
	if len(ended)+len(s.progress) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		for user, until := range ended {
			if err := revise(tx, user, func(e *entry) { e.Since = until.Round(0) }); err != nil {
				return err
			}
		}
		for user, p := range s.progress {
			if err := revise(tx, user, func(e *entry) { e.Progress = p }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.progress)
	for user := range ended {
		delete(s.leases, user)
	}
	return nil
}

// revise changes the entry of user.
func revise(tx *bolt.Tx, user string, edit func(*entry)) error {
	was, err := load(tx, user)
	if err != nil {
		return err
	}
	e := was
	edit(&e)
	return save(tx, was, e)
}

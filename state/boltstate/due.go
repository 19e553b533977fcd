package boltstate

import (
	"context"
	"encoding/binary"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// waiter is a user in the due queue.
type waiter struct {
	user  string
	since int64
}

// Due implements state.Users. The index knows nothing of leases, so it is read further by as many entries as there are leases.
func (s *Store) Due(ctx context.Context, limit int) (users []string, err error) {
	defer note(&err, "list", "due users")
	now, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer s.write.Unlock()
	if limit <= 0 {
		return nil, nil
	}
	var waiters []waiter
	err = s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(dueBucket).Cursor()
		for k, _ := c.First(); k != nil && len(waiters) < limit+len(s.leases); k, _ = c.Next() {
			w := waiter{user: string(k[8:]), since: int64(binary.BigEndian.Uint64(k))}
			if w.since > nanos(now) {
				break
			}
			if l, ok := s.leases[w.user]; ok {
				if now.Before(l.until) {
					continue
				}
				w.since = max(w.since, nanos(l.until))
			}
			waiters = append(waiters, w)
		}
		return nil
	})
	slices.SortStableFunc(waiters, func(a, b waiter) int { return int(min(max(a.since-b.since, -1), 1)) })
	for _, w := range waiters[:min(limit, len(waiters))] {
		users = append(users, w.user)
	}
	return users, err
}

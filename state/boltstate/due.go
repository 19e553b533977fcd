package boltstate

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// waiter is a user in the due queue.
type waiter struct {
	user  string
	since uint64 // nanoseconds, and behind
}

// Due implements state.Users.
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
	err = s.db.View(func(tx *bolt.Tx) error {
		for _, part := range []uint64{0, behind} {
			for _, w := range s.waiters(tx, part, now, limit-len(users)) {
				users = append(users, w.user)
			}
		}
		return nil
	})
	return users, err
}

// waiters returns at most limit users of one part of the index. The index knows nothing of leases, so it is read
// further by as many entries as there are leases. The caller holds write.
func (s *Store) waiters(tx *bolt.Tx, part uint64, now time.Time, limit int) []waiter {
	var all []waiter
	end := part | uint64(nanos(now))
	c := tx.Bucket(dueBucket).Cursor()
	for k, _ := c.Seek(binary.BigEndian.AppendUint64(nil, part)); k != nil && len(all) < limit+len(s.leases); k, _ = c.Next() {
		w := waiter{user: string(k[8:]), since: binary.BigEndian.Uint64(k)}
		if w.since > end {
			break
		}
		if l, ok := s.leases[w.user]; ok {
			if now.Before(l.until) {
				continue
			}
			w.since = max(w.since, part|uint64(nanos(l.until)))
		}
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b waiter) int { return cmp.Compare(a.since, b.since) })
	return all[:min(max(limit, 0), len(all))]
}

package boltstate

import (
	"context"
	"time"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// Repair implements state.Journals.
func (s *Store) Repair(ctx context.Context, rec state.Record, folders []state.Folder) (r state.Record, err error) {
	defer note(&err, "repair", rec.User)
	if err := state.CheckRepair(rec, folders); err != nil {
		return state.Record{}, err
	}
	now, err := s.lock(ctx)
	if err != nil {
		return state.Record{}, err
	}
	defer s.write.Unlock()
	var e entry
	var repaired bool
	err = s.db.Update(func(tx *bolt.Tx) error {
		was, err := load(tx, rec.User)
		if err == state.ErrUnknown {
			e = entry{Record: state.Record{User: rec.User, Created: now.Round(0).UTC()}}
		} else if err != nil {
			return err
		} else {
			e = was
		}
		if repaired = !e.Phase.OnTarget(); !repaired {
			return nil
		}
		e.repair(rec, now)
		for _, f := range folders {
			if err := tx.Bucket(foldersBucket).Put(folderKey(rec.User, f.Name), f.Pack()); err != nil {
				return err
			}
		}
		return save(tx, was, e)
	})
	if err != nil {
		return state.Record{}, err
	}
	if repaired {
		s.mu.Lock()
		delete(s.leases, rec.User)
		delete(s.cutovers, rec.User)
		s.mu.Unlock()
		s.hub.tell(rec.User)
	}
	return s.shown(e), nil
}

// repair makes e tell of the switch that rec tells of.
func (e *entry) repair(rec state.Record, now time.Time) {
	e.Epoch++
	e.Phase, e.Reason, e.Since = state.Migrated, state.Repaired, now.Round(0)
	e.Fidelity, e.Attempt, e.Migrated, e.Skipped = rec.Fidelity, rec.Attempt, rec.Migrated, rec.Skipped
	e.Attempts, e.NextTry = 0, time.Time{}
	e.Committing, e.Released = false, false
}

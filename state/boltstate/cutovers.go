package boltstate

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// cutover is which nodes an attempt waits for, and what the others have told.
type cutover struct {
	attempt string
	epoch   uint64
	waiting map[state.Node]bool
	told    map[state.Node]told
}

// told is what came with an acknowledgement.
type told struct {
	sessions int
	touched  []state.Touched
}

// BeginCutover implements state.Cutovers. Join takes write as well, so each node is either named here or has not yet joined.
func (s *Store) BeginCutover(ctx context.Context, l state.Lease, attempt string, budget time.Duration) (next state.Lease, r state.Record, err error) {
	defer note(&err, "begin cutover of", l.User)
	if err := errors.Join(state.CheckName("attempt", attempt), state.CheckSpan("budget", budget)); err != nil {
		return state.Lease{}, state.Record{}, err
	}
	now, err := s.lock(ctx)
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	defer s.write.Unlock()
	if err := s.noneSilent(now); err != nil {
		return state.Lease{}, state.Record{}, err
	}
	waiting := map[state.Node]bool{}
	for _, n := range s.live(now) {
		waiting[n] = true
	}
	r, err = s.changeHeld(l, now, func(_ *bolt.Tx, e *entry) error {
		if e.Phase != state.Tailing {
			return state.ErrPhase
		}
		e.Epoch++
		e.Phase, e.Reason = state.Cutover, ""
		e.Attempt, e.AttemptEpoch, e.Committing = attempt, e.Epoch, false
		e.Deadline = now.Add(budget).Round(0).UTC()
		return nil
	}, func(e entry) {
		s.leases[l.User] = lease{owner: l.Owner, epoch: e.Epoch, until: s.leases[l.User].until}
		s.cutovers[l.User] = &cutover{attempt: attempt, epoch: e.Epoch, waiting: waiting, told: map[state.Node]told{}}
	})
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	return state.Lease{User: l.User, Owner: l.Owner, Epoch: r.Epoch}, r, nil
}

// under reports whether attempt is under way.
func (e *entry) under(attempt string) bool { return e.Phase == state.Cutover && e.Attempt == attempt }

// Acknowledge implements state.Cutovers.
func (s *Store) Acknowledge(ctx context.Context, node state.Node, h state.Hold, sessions int, touched []state.Touched) (err error) {
	defer note(&err, "acknowledge hold of", h.User)
	if err := cmp.Or(state.CheckSessions(sessions), state.CheckTouched(touched)); err != nil {
		return err
	}
	now, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	if !s.alive(node, now) {
		return state.ErrFenced
	}
	e, err := s.read(ctx, h.User)
	if err != nil {
		return err
	}
	if !e.under(h.Attempt) || e.AttemptEpoch != h.Epoch {
		return state.ErrPhase
	}
	if c, ok := s.cutovers[h.User]; ok { // not after a restart, which no node of the attempt has outlived
		s.mu.Lock()
		delete(c.waiting, node)
		s.mu.Unlock()
		c.told[node] = told{sessions, slices.Clone(touched)}
	}
	return nil
}

// Waiting implements state.Cutovers.
func (s *Store) Waiting(ctx context.Context, user, attempt string) (nodes []state.Node, err error) {
	defer note(&err, "list nodes that hold", user)
	now, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer s.write.Unlock()
	e, err := s.read(ctx, user)
	if err != nil {
		return nil, err
	}
	if !e.under(attempt) {
		return nil, state.ErrPhase
	}
	return s.waiting(user, now), nil
}

// waiting returns the nodes whose acknowledgement the user's cutover still needs. The caller holds write.
func (s *Store) waiting(user string, now time.Time) (nodes []state.Node) {
	c, ok := s.cutovers[user]
	if !ok {
		return nil
	}
	for n := range c.waiting {
		if s.alive(n, now) {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b state.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes
}

// acknowledged returns what has been told of the attempt. The caller holds write.
func (s *Store) acknowledged(ctx context.Context, user, attempt string) (map[state.Node]told, error) {
	e, err := s.read(ctx, user)
	if err != nil {
		return nil, err
	}
	c, ok := s.cutovers[user]
	if !e.under(attempt) || !ok { // nor after a restart, which has forgotten it
		return nil, state.ErrPhase
	}
	return c.told, nil
}

// Touched implements state.Cutovers.
func (s *Store) Touched(ctx context.Context, user, attempt string) (list []state.Touched, err error) {
	defer note(&err, "list touched folders of", user)
	if _, err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.write.Unlock()
	all, err := s.acknowledged(ctx, user, attempt)
	for _, t := range all {
		list = append(list, t.touched...)
	}
	return list, err
}

// Sessions implements state.Cutovers.
func (s *Store) Sessions(ctx context.Context, user, attempt string) (open map[state.Node]int, err error) {
	defer note(&err, "count sessions of", user)
	if _, err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.write.Unlock()
	all, err := s.acknowledged(ctx, user, attempt)
	if err != nil {
		return nil, err
	}
	open = map[state.Node]int{}
	for n, t := range all {
		if t.sessions > 0 {
			open[n] = t.sessions
		}
	}
	return open, nil
}

// CallOff implements state.Cutovers.
func (s *Store) CallOff(ctx context.Context, l state.Lease, attempt, reason string) (err error) {
	defer note(&err, "call off cutover of", l.User)
	now, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	anyone := l.Owner == "" && l.Epoch == 0
	_, err = s.change(l.User, func(_ *bolt.Tx, e *entry) error {
		if !anyone && !s.holds(l, *e, now) {
			return state.ErrLost
		}
		if !e.under(attempt) || e.Committing {
			return state.ErrPhase
		}
		if anyone {
			if now.Before(e.Deadline) {
				return state.ErrLost
			}
			e.Epoch++
			if have, ok := s.leases[l.User]; ok {
				e.Since = now
				if have.until.Before(now) {
					e.Since = have.until
				}
			}
		}
		e.Phase, e.Reason = state.Tailing, state.CutReason(reason)
		return nil
	}, func(entry) {
		delete(s.cutovers, l.User)
		if anyone {
			delete(s.leases, l.User)
		}
	})
	return err
}

// Commit implements state.Cutovers.
func (s *Store) Commit(ctx context.Context, l state.Lease, attempt string) (err error) {
	defer note(&err, "commit cutover of", l.User)
	now, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	_, err = s.changeHeld(l, now, func(_ *bolt.Tx, e *entry) error {
		switch {
		case !e.under(attempt) || e.AttemptEpoch != l.Epoch:
			return state.ErrPhase
		case e.Committing:
			return nil
		case !now.Before(e.Deadline):
			return state.ErrLate
		case len(s.waiting(l.User, now)) > 0:
			return state.ErrWaiting
		}
		e.Committing = true
		return nil
	}, nil)
	return err
}

// Switch implements state.Cutovers.
func (s *Store) Switch(ctx context.Context, l state.Lease, attempt string, hold time.Duration) (r state.Record, err error) {
	defer note(&err, "switch", l.User)
	now, err := s.lock(ctx)
	if err != nil {
		return state.Record{}, err
	}
	defer s.write.Unlock()
	return s.changeHeld(l, now, func(_ *bolt.Tx, e *entry) error {
		if e.Phase == state.Migrated && e.Attempt == attempt {
			return nil // asked again
		}
		if !e.under(attempt) || !e.Committing {
			return state.ErrPhase
		}
		e.Phase, e.Committing, e.Released = state.Migrated, false, false
		e.Migrated = now.Round(0).UTC()
		e.Reason, e.Attempts, e.NextTry = "", 0, e.Migrated
		e.HoldMS = hold.Milliseconds()
		return nil
	}, func(entry) { delete(s.cutovers, l.User) })
}

package proxy

import (
	"cmp"
	"context"
	"errors"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

// Bounds of asking the store and of waiting for a cutover.
const (
	storeTimeout  = 5 * time.Second
	cutoverPoll   = 250 * time.Millisecond // hints may be missed
	cutoverMargin = 10 * time.Second       // beyond the deadline of a cutover: it is called off or through by then, or in doubt
)

// route is where a session goes, as of the record that was read in turn.
type route struct {
	backend  *backend.Backend
	onSource bool
	turn     int
	rec      state.Record
	views    map[string]state.Folder
}

// route reads the user's record, which is cached by nobody: a record read before a hold would lead to the source
// after the switch (I3). In a cutover it waits.
func (s *session) route(ctx context.Context, st *seat, user string) (route, error) {
	patience := time.Now().Add(cutoverMargin)
	for {
		turn, held, changed := st.look()
		k, err := s.srv.node.look(ctx, user)
		rec := k.Record
		switch {
		case errors.Is(err, state.ErrUntrusted) && s.srv.node.trust.comesSoon() && time.Now().Before(patience):
			if err := wait(ctx, nil, healPoll); err != nil {
				return route{}, err
			}
			continue
		case err != nil:
			return route{}, err
		case rec.Phase.OnTarget():
			return s.toTarget(ctx, turn, k)
		case rec.Phase != state.Cutover && !held:
			rec.Fidelity = cmp.Or(rec.Fidelity, s.srv.cfg.Fidelity)
			return route{backend: s.srv.cfg.Source, onSource: true, turn: turn, rec: rec}, nil
		}
		if rec.Phase == state.Cutover {
			s.srv.node.callOff(ctx, rec)
			if until := rec.Deadline.Add(cutoverMargin); until.After(patience) {
				patience = until
			}
		}
		if time.Now().After(patience) {
			return route{}, no("UNAVAILABLE", "the mailbox is being moved; please try again in a moment")
		}
		if err := wait(ctx, changed, cutoverPoll); err != nil {
			return route{}, err
		}
	}
}

func (s *session) toTarget(ctx context.Context, turn int, k whereabouts) (route, error) {
	folders, err := s.srv.node.settle(ctx, k, false)
	if err != nil {
		return route{}, err
	}
	return route{backend: s.srv.cfg.Target, turn: turn, rec: k.Record, views: views(k.Fidelity, folders)}, nil
}

// callOff ends an attempt that is past its deadline: its worker may be gone. The store judges by its own clock and may refuse, so
// errors say nothing; whoever called reads the record again.
func (n *Node) callOff(ctx context.Context, rec state.Record) {
	if rec.Committing || time.Now().Before(rec.Deadline) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := n.store.CallOff(ctx, state.Lease{User: rec.User}, rec.Attempt, "the hold took longer than its budget"); err == nil {
		n.log.Info("cutover called off", "user", rec.User, "attempt", rec.Attempt)
	}
}

// wait ends with changed or after at most d.
func wait(ctx context.Context, changed <-chan struct{}, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

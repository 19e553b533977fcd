package redisstate

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"imapferry/state"
)

// BeginCutover implements state.Cutovers. The package comment says why in this order.
func (s *Store) BeginCutover(ctx context.Context, l state.Lease, attempt string, budget time.Duration) (next state.Lease, r state.Record, err error) {
	defer note(&err, "begin cutover of", l.User)
	if err := cmp.Or(state.CheckName("attempt", attempt), state.CheckSpan("budget", budget)); err != nil {
		return state.Lease{}, state.Record{}, err
	}
	if err := s.noneSilent(ctx); err != nil {
		return state.Lease{}, state.Record{}, err
	}
	rest, err := s.forLease(ctx, beginScript, l, newOp(), attempt, micros(budget))
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	r, err = record(l.User, rest)
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	live, err := s.liveIDs(ctx)
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	r, err = s.forUser(ctx, nameScript, l.User, noOp, append([]any{attempt, r.Epoch}, live...)...)
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	return state.Lease{User: l.User, Owner: l.Owner, Epoch: r.Epoch}, r, nil
}

// liveIDs returns the nodes that are alive, as scripts take them.
func (s *Store) liveIDs(ctx context.Context) ([]any, error) {
	live, err := s.live(ctx, countedScript)
	ids := make([]any, len(live))
	for i, n := range live {
		ids[i] = nodeID(n)
	}
	return ids, err
}

// Acknowledge implements state.Cutovers.
func (s *Store) Acknowledge(ctx context.Context, node state.Node, h state.Hold, sessions int, touched []state.Touched) (err error) {
	defer note(&err, "acknowledge hold of", h.User)
	if err := cmp.Or(state.CheckSessions(sessions), state.CheckTouched(touched)); err != nil {
		return err
	}
	if err := s.alive(ctx, node); err != nil {
		return err
	}
	_, err = s.call(ctx, acknowledgeScript, userKeys(h.User), h.User, noOp, h.Attempt, h.Epoch, nodeID(node), sessions, state.PackTouched(touched))
	return err
}

// Waiting implements state.Cutovers.
func (s *Store) Waiting(ctx context.Context, user, attempt string) (nodes []state.Node, err error) {
	defer note(&err, "list nodes that hold", user)
	rest, err := s.call(ctx, waitingScript, userKeys(user), user, noOp, attempt)
	if err != nil {
		return nil, err
	}
	waiting, err := texts(rest[0])
	if err != nil {
		return nil, err
	}
	live, err := s.live(ctx, countedScript)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(live, func(n state.Node) bool { return !slices.Contains(waiting, nodeID(n)) }), nil
}

// Touched implements state.Cutovers.
func (s *Store) Touched(ctx context.Context, user, attempt string) (list []state.Touched, err error) {
	defer note(&err, "list touched folders of", user)
	rest, err := s.call(ctx, touchedScript, userKeys(user), user, noOp, attempt)
	if err != nil {
		return nil, err
	}
	packed, err := texts(rest[0])
	if err != nil {
		return nil, err
	}
	for _, p := range packed {
		some, err := state.UnpackTouched([]byte(p))
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// Sessions implements state.Cutovers.
func (s *Store) Sessions(ctx context.Context, user, attempt string) (open map[state.Node]int, err error) {
	defer note(&err, "count sessions of", user)
	rest, err := s.call(ctx, sessionsScript, userKeys(user), user, noOp, attempt)
	if err != nil {
		return nil, err
	}
	pairs, err := texts(rest[0])
	if err != nil {
		return nil, err
	}
	open = map[state.Node]int{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, incarnation, _ := strings.Cut(pairs[i], "\x00")
		if open[state.Node{Name: name, Incarnation: incarnation}], err = strconv.Atoi(pairs[i+1]); err != nil {
			return nil, err
		}
	}
	return open, nil
}

// CallOff implements state.Cutovers.
func (s *Store) CallOff(ctx context.Context, l state.Lease, attempt, reason string) (err error) {
	defer note(&err, "call off cutover of", l.User)
	_, err = s.forLease(ctx, callOffScript, l, newOp(), attempt, state.CutReason(reason))
	return err
}

// Commit implements state.Cutovers.
func (s *Store) Commit(ctx context.Context, l state.Lease, attempt string) (err error) {
	defer note(&err, "commit cutover of", l.User)
	live, err := s.liveIDs(ctx)
	if err != nil {
		return err
	}
	_, err = s.forLease(ctx, commitScript, l, newOp(), append([]any{attempt}, live...)...)
	return err
}

// Switch implements state.Cutovers.
func (s *Store) Switch(ctx context.Context, l state.Lease, attempt string, hold time.Duration) (r state.Record, err error) {
	defer note(&err, "switch", l.User)
	rest, err := s.forLease(ctx, switchScript, l, newOp(), attempt, hold.Milliseconds())
	if err != nil {
		return state.Record{}, err
	}
	return record(l.User, rest)
}

package boltstate

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"imapferry/state"
)

// life is the present incarnation of a node. Node, store and whoever asks are one process with one clock, so nobody has to watch
// anybody: a node is dead when its time has passed, without a margin, and is so at once for all.
type life struct {
	incarnation string
	since       time.Time // it joined
	beat        time.Time
	ttl         time.Duration
}

func (l life) ended(now time.Time) bool { return !now.Before(l.beat.Add(l.ttl)) }

// alive reports whether n has not ended. The caller holds write or mu.
func (s *Store) alive(n state.Node, now time.Time) bool {
	l, ok := s.nodes[n.Name]
	return ok && l.incarnation == n.Incarnation && !l.ended(now)
}

// Join implements state.Nodes.
func (s *Store) Join(ctx context.Context, name string, ttl time.Duration, former ...string) (n state.Node, err error) {
	defer note(&err, "join", name)
	if err := cmp.Or(state.CheckName("node", name), state.CheckSpan("ttl", ttl)); err != nil {
		return state.Node{}, err
	}
	now, err := s.lock(ctx)
	if err != nil {
		return state.Node{}, err
	}
	defer s.write.Unlock()
	if has, ok := s.nodes[name]; ok && !has.ended(now) && !slices.Contains(former, has.incarnation) {
		return state.Node{}, &state.Taken{
			Node: state.Node{Name: name, Incarnation: has.incarnation}, Since: has.since, Silent: now.Sub(has.beat), TTL: has.ttl,
		}
	}
	n = state.Node{Name: name, Incarnation: rand.Text()}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.nodes, func(_ string, l life) bool { return l.ended(now) }) // here, so that names that never come back do not pile up
	s.nodes[name] = life{incarnation: n.Incarnation, since: now, beat: now, ttl: ttl}
	return n, nil
}

// Beat implements state.Nodes.
func (s *Store) Beat(ctx context.Context, n state.Node, ttl time.Duration) (err error) {
	defer note(&err, "beat", n.Name)
	if err := state.CheckSpan("ttl", ttl); err != nil {
		return err
	}
	now, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	if !s.alive(n, now) {
		return state.ErrFenced
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[n.Name] = life{incarnation: n.Incarnation, since: s.nodes[n.Name].since, beat: now, ttl: ttl}
	return nil
}

// Leave implements state.Nodes.
func (s *Store) Leave(ctx context.Context, n state.Node) (err error) {
	defer note(&err, "leave", n.Name)
	now, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer s.write.Unlock()
	if s.alive(n, now) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.nodes, n.Name)
	}
	return nil
}

// Live implements state.Nodes.
func (s *Store) Live(ctx context.Context) (live []state.Node, err error) {
	defer note(&err, "list", "nodes")
	now, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer s.write.Unlock()
	return s.live(now), nil
}

// live returns the nodes that are alive, by name. The caller holds write.
func (s *Store) live(now time.Time) []state.Node {
	var live []state.Node
	for name, l := range s.nodes {
		if !l.ended(now) {
			live = append(live, state.Node{Name: name, Incarnation: l.incarnation})
		}
	}
	slices.SortFunc(live, func(a, b state.Node) int { return cmp.Compare(a.Name, b.Name) })
	return live
}

// noneSilent returns *state.Silent if a node that is alive has missed its beats. The caller holds write.
func (s *Store) noneSilent(now time.Time) error {
	for _, n := range s.live(now) {
		if l := s.nodes[n.Name]; now.Sub(l.beat) > state.SilentBeyond(l.ttl) {
			return &state.Silent{Node: n.Name, For: now.Sub(l.beat), TTL: l.ttl}
		}
	}
	return nil
}

// Inbox implements state.Nodes.
func (s *Store) Inbox(ctx context.Context, n state.Node) (holds []state.Hold, err error) {
	defer note(&err, "read inbox of", n.Name)
	now, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer s.write.Unlock()
	if !s.alive(n, now) {
		return nil, state.ErrFenced
	}
	for user, c := range s.cutovers {
		if c.waiting[n] {
			holds = append(holds, state.Hold{User: user, Epoch: c.epoch, Attempt: c.attempt})
		}
	}
	return holds, nil
}

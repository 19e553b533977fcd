package redisstate

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"time"

	"imapferry/state"
)

var nodeKeys = []string{livesKey}

// Join implements state.Nodes.
func (s *Store) Join(ctx context.Context, name string, ttl time.Duration) (n state.Node, err error) {
	defer note(&err, "join", name)
	if err := cmp.Or(state.CheckName("node", name), state.CheckSpan("ttl", ttl)); err != nil {
		return state.Node{}, err
	}
	n = state.Node{Name: name, Incarnation: rand.Text()}
	if _, err := s.call(ctx, joinScript, nodeKeys, n.Name, n.Incarnation, micros(ttl)); err != nil {
		return state.Node{}, err
	}
	return n, nil
}

// Beat implements state.Nodes.
func (s *Store) Beat(ctx context.Context, n state.Node, ttl time.Duration) (err error) {
	defer note(&err, "beat", n.Name)
	if err := state.CheckSpan("ttl", ttl); err != nil {
		return err
	}
	_, err = s.call(ctx, beatScript, nodeKeys, n.Name, n.Incarnation, micros(ttl))
	return err
}

// alive returns ErrFenced if n has ended.
func (s *Store) alive(ctx context.Context, n state.Node) error {
	_, err := s.call(ctx, beatScript, nodeKeys, n.Name, n.Incarnation, 0)
	return err
}

// Leave implements state.Nodes.
func (s *Store) Leave(ctx context.Context, n state.Node) (err error) {
	defer note(&err, "leave", n.Name)
	_, err = s.call(ctx, leaveScript, nodeKeys, n.Name, n.Incarnation)
	return err
}

// Live implements state.Nodes.
func (s *Store) Live(ctx context.Context) (nodes []state.Node, err error) {
	defer note(&err, "list", "nodes")
	return s.live(ctx)
}

// live returns the nodes that are alive, by name. Those that have ended can never be alive again when it returns.
func (s *Store) live(ctx context.Context) (nodes []state.Node, err error) {
	rest, err := s.call(ctx, liveScript, nodeKeys)
	if err != nil {
		return nil, err
	}
	pairs, err := texts(rest[0])
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		nodes = append(nodes, state.Node{Name: pairs[i], Incarnation: pairs[i+1]})
	}
	slices.SortFunc(nodes, func(a, b state.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, nil
}

// Inbox implements state.Nodes.
func (s *Store) Inbox(ctx context.Context, n state.Node) (holds []state.Hold, err error) {
	defer note(&err, "read inbox of", n.Name)
	if err := s.alive(ctx, n); err != nil {
		return nil, err
	}
	users, err := s.inCutover(ctx)
	if err != nil {
		return nil, err
	}
	queries := make([]query, len(users))
	for i, u := range users {
		queries[i] = query{keys: []string{recordKey(u), holdsKey(u)}, args: []any{nodeID(n)}}
	}
	answers, err := s.all(ctx, holdScript, queries)
	if err != nil {
		return nil, err
	}
	for i, v := range answers {
		hold, err := texts(v)
		if err != nil {
			return nil, err
		}
		if len(hold) != 2 {
			continue
		}
		epoch, err := strconv.ParseUint(hold[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("epoch of %s: %w", users[i], err)
		}
		holds = append(holds, state.Hold{User: users[i], Attempt: hold[0], Epoch: epoch})
	}
	return holds, nil
}

// inCutover returns all users in cutover. They are few: each has a worker.
func (s *Store) inCutover(ctx context.Context) (users []string, err error) {
	pipe := s.client.Pipeline()
	for n := range shards {
		pipe.ZRange(ctx, phaseKey(n, state.Cutover), 0, -1)
	}
	cmds, err := pipe.Exec(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range cmds {
		v, err := c.(interface{ Result() ([]string, error) }).Result()
		if err != nil {
			return nil, err
		}
		users = append(users, v...)
	}
	return users, nil
}

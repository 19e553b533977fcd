package redisstate

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

var nodeKeys = []string{livesKey, nodesIDKey, nodesRunKey, joinsKey}

// onNodes runs a script on nodes, and observes what it returns.
func (s *Store) onNodes(ctx context.Context, script *redis.Script, args ...any) ([]life, error) {
	rest, err := s.call(ctx, script, nodeKeys, append([]any{s.id}, args...)...)
	if err != nil {
		return nil, err
	}
	lives, err := parseLives(rest[0])
	if err != nil {
		return nil, err
	}
	s.observer.note(lives)
	return lives, nil
}

// Join implements state.Nodes.
func (s *Store) Join(ctx context.Context, name string, ttl time.Duration, former ...string) (n state.Node, err error) {
	defer note(&err, "join", name)
	if err := cmp.Or(state.CheckName("node", name), state.CheckSpan("ttl", ttl)); err != nil {
		return state.Node{}, err
	}
	if _, err := s.lives(ctx, lookScript); err != nil { // whoever has the name may have to be buried
		return state.Node{}, err
	}
	n = state.Node{Name: name, Incarnation: rand.Text()}
	args := []any{n.Name, n.Incarnation, rand.Text(), micros(ttl)}
	for _, f := range former {
		args = append(args, f)
	}
	lives, err := s.onNodes(ctx, joinScript, args...)
	if err != nil {
		return n, err
	}
	for _, l := range lives {
		if l.Name == name && l.Node != n {
			return state.Node{}, &state.Taken{Node: l.Node, Since: l.since, Silent: l.silent, TTL: l.ttl}
		}
	}
	return n, nil
}

// Beat implements state.Nodes.
func (s *Store) Beat(ctx context.Context, n state.Node, ttl time.Duration) (err error) {
	defer note(&err, "beat", n.Name)
	if err := state.CheckSpan("ttl", ttl); err != nil {
		return err
	}
	_, err = s.onNodes(ctx, beatScript, n.Name, n.Incarnation, rand.Text(), micros(ttl))
	return err
}

// alive returns ErrFenced if n has ended.
func (s *Store) alive(ctx context.Context, n state.Node) error {
	_, err := s.onNodes(ctx, countedScript, n.Name, n.Incarnation)
	return err
}

// Leave implements state.Nodes.
func (s *Store) Leave(ctx context.Context, n state.Node) (err error) {
	defer note(&err, "leave", n.Name)
	_, err = s.onNodes(ctx, leaveScript, n.Name, n.Incarnation)
	return err
}

// Live implements state.Nodes.
func (s *Store) Live(ctx context.Context) (nodes []state.Node, err error) {
	defer note(&err, "list", "nodes")
	return s.live(ctx, lookScript)
}

// live returns the nodes that are alive, by name. Those that have ended can never be alive again when it returns.
func (s *Store) live(ctx context.Context, look *redis.Script) ([]state.Node, error) {
	lives, err := s.lives(ctx, look)
	nodes := make([]state.Node, len(lives))
	for i, l := range lives {
		nodes[i] = l.Node
	}
	return nodes, err
}

// lives returns the entries of the nodes that are alive, after it has buried those whose beats have stood still for long enough. Whoever
// has beaten meanwhile lives on. look is lookScript, or countedScript where a cutover depends on it.
func (s *Store) lives(ctx context.Context, look *redis.Script) ([]life, error) {
	found, err := s.onNodes(ctx, look)
	if err != nil {
		return nil, err
	}
	dead := slices.DeleteFunc(slices.Clone(found), func(l life) bool { return !l.dead() })
	if len(dead) == 0 {
		return found, nil
	}
	for _, l := range dead {
		if _, err := s.onNodes(ctx, buryScript, l.Name, l.Incarnation, l.beat); err != nil {
			return nil, err
		}
	}
	return s.onNodes(ctx, look)
}

// noneSilent returns *state.Silent if a node that is not known to be dead has missed its beats.
func (s *Store) noneSilent(ctx context.Context) error {
	lives, err := s.lives(ctx, countedScript)
	for _, l := range lives {
		if l.silent > state.SilentBeyond(l.ttl) {
			return &state.Silent{Node: l.Name, For: l.silent, TTL: l.ttl}
		}
	}
	return err
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
	answers, err := s.eachShard(ctx, phaseScript, func(n int) []string { return []string{phaseKey(n, state.Cutover)} })
	if err != nil {
		return nil, err
	}
	for _, v := range answers {
		some, err := texts(v)
		if err != nil {
			return nil, err
		}
		users = append(users, some...)
	}
	return users, nil
}

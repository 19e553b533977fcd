package redisstate

import (
	"context"
	"math/rand/v2"
	"net"
)

// watchDepth is how many changes a slow watcher may be behind before it misses some.
const watchDepth = 256

// Watch implements state.Store.
func (s *Store) Watch(ctx context.Context) <-chan string {
	c := make(chan string, watchDepth)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(c)
		return c
	}
	s.wg.Go(func() { s.watch(ctx, c) })
	return c
}

// watch hands on changes until ctx ends or the store is closed. The subscription renews itself when its connection breaks, and is
// renewed when the masters are others: one that was deposed may go on answering and has nothing to tell.
func (s *Store) watch(ctx context.Context, c chan<- string) {
	defer close(c)
	for s.listen(ctx, s.directory.changed(), c) {
	}
}

// listen reports whether it ended because of moved.
func (s *Store) listen(ctx context.Context, moved <-chan struct{}, c chan<- string) bool {
	sub := s.ear.Subscribe(ctx, changeChannel)
	defer sub.Close()
	changes := sub.Channel()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.stop:
			return false
		case <-moved:
			return true
		case m, open := <-changes:
			if !open {
				return false
			}
			select {
			case c <- m.Payload:
			default: // it is a hint
			}
		}
	}
}

// toAnyMaster dials one of the masters, whatever address it is given. In a Cluster all servers tell what is published at any of them.
func (s *Store) toAnyMaster(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		t, err := s.directory.table(ctx)
		if err != nil {
			return nil, err
		}
		all := t.masters()
		conn, err := dial(ctx, network, all[rand.IntN(len(all))])
		if err != nil {
			s.directory.doubt()
		}
		return conn, err
	}
}

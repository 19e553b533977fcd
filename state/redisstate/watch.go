package redisstate

import (
	"context"

	"github.com/redis/go-redis/v9"
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
	sub := s.client.Subscribe(ctx, changeChannel)
	s.wg.Go(func() { s.watch(ctx, sub, c) })
	return c
}

// watch hands on changes until ctx ends or the store is closed. The subscription renews itself when its connection breaks.
func (s *Store) watch(ctx context.Context, sub *redis.PubSub, c chan<- string) {
	defer close(c)
	defer sub.Close()
	changes := sub.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.stop:
			return
		case m, open := <-changes:
			if !open {
				return
			}
			select {
			case c <- m.Payload:
			default: // it is a hint
			}
		}
	}
}

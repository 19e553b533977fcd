package boltstate

import (
	"context"
	"sync"
)

// watchDepth is how many changes a slow watcher may be behind before it misses some.
const watchDepth = 256

// hub hands changes to watchers and never waits for one.
type hub struct {
	mu       sync.Mutex
	watchers map[chan string]func() bool // to what forgets its context
	closed   bool
}

// Watch implements state.Store.
func (s *Store) Watch(ctx context.Context) <-chan string { return s.hub.watch(ctx) }

func (h *hub) watch(ctx context.Context) <-chan string {
	c := make(chan string, watchDepth)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(c)
		return c
	}
	if h.watchers == nil {
		h.watchers = map[chan string]func() bool{}
	}
	h.watchers[c] = context.AfterFunc(ctx, func() { h.leave(c) })
	return c
}

func (h *hub) leave(c chan string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watchers[c]; ok {
		delete(h.watchers, c)
		close(c)
	}
}

func (h *hub) tell(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.watchers {
		select {
		case c <- user:
		default: // it is a hint
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for c, forget := range h.watchers {
		forget()
		close(c)
	}
	h.watchers = nil
}

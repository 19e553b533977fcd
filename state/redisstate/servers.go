package redisstate

import (
	"errors"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// servers are the Redis servers that were met, each with connections of its own. Plain clients are behind all kinds of stores, because
// the library's clients for Sentinel and Cluster decide by themselves what to send again and where.
type servers struct {
	opts redis.Options // of each, but for its address

	mu     sync.Mutex
	met    map[string]*redis.Client // by address
	closed bool
}

func newServers(opts redis.Options) *servers {
	return &servers{opts: opts, met: map[string]*redis.Client{}}
}

// at returns the client of a server.
func (s *servers) at(addr string) (*redis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, redis.ErrClosed
	}
	c, ok := s.met[addr]
	if !ok {
		opts := s.opts // the client writes to what it is given
		opts.Addr = addr
		opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		c = redis.NewClient(&opts)
		s.met[addr] = c
	}
	return c, nil
}

// keep ends the connections to all servers but those at addrs. What is under way there counts as lost.
func (s *servers) keep(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for addr, c := range s.met {
		if !slices.Contains(addrs, addr) {
			c.Close()
			delete(s.met, addr)
		}
	}
}

func (s *servers) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, c := range s.met {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

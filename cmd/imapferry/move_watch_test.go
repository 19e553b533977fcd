package main

import (
	"bytes"
	"context"
	"strings"
	"sync"

	"imapferry/state"
)

// holdWatch is a store that tells when a node holds a user's sessions: it does before it reads the record for the first
// time after it has found the hold in its inbox.
type holdWatch struct {
	state.Store

	mu    sync.Mutex
	users map[string]*holding // guarded by mu
}

type holding struct {
	told bool
	held chan struct{}
}

func (s *holdWatch) holding(user string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(user).held
}

// of is called with mu held.
func (s *holdWatch) of(user string) *holding {
	if s.users[user] == nil {
		s.users[user] = &holding{held: make(chan struct{})}
	}
	return s.users[user]
}

// Inbox implements state.Nodes.
func (s *holdWatch) Inbox(ctx context.Context, n state.Node) ([]state.Hold, error) {
	holds, err := s.Store.Inbox(ctx, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range holds {
		s.of(h.User).told = true
	}
	return holds, err
}

// Get implements state.Users.
func (s *holdWatch) Get(ctx context.Context, user string) (state.Record, error) {
	rec, err := s.Store.Get(ctx, user)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.users[user]; h != nil && h.told {
		select {
		case <-h.held:
		default:
			close(h.held)
		}
	}
	return rec, err
}

// logbook keeps the log.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logbook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// about returns what the log says about the user.
func (b *logbook) about(user string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines strings.Builder
	for line := range strings.Lines(b.text.String()) {
		if strings.Contains(line, user) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

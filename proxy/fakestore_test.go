package proxy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

var errStoreDown = errors.New("store is down")

// fakeStore is the little of a store that sessions and nodes see; its cutovers are what the test makes of them.
type fakeStore struct {
	mu      sync.Mutex
	down    bool
	fenced  bool
	records map[string]state.Record
	folders map[string][]state.Folder
	inbox   []state.Hold
	acks    []state.Hold
	calls   []string // attempts called off
	tallies map[string]int64
	joins   int
	left    int
	watch   []chan string
	gets    int
}

func newFakeStore() *fakeStore {
	return &fakeStore{records: map[string]state.Record{}, folders: map[string][]state.Folder{}, tallies: map[string]int64{}}
}

// do runs f under the lock and wakes the watchers.
func (s *fakeStore) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	for _, w := range s.watch {
		select {
		case w <- "alice":
		default:
		}
	}
}

func (s *fakeStore) fail(down bool) { s.do(func() { s.down = down }) }

func (s *fakeStore) put(rec state.Record) { s.do(func() { s.records[rec.User] = rec }) }

// begin puts user into cutover, with a hold in the inbox.
func (s *fakeStore) begin(user, attempt string, budget time.Duration) {
	s.do(func() {
		rec := s.records[user]
		rec.User, rec.Phase, rec.Attempt, rec.Deadline = user, state.Cutover, attempt, time.Now().Add(budget)
		s.records[user] = rec
		s.inbox = append(s.inbox, state.Hold{User: user, Attempt: attempt})
	})
}

// finish ends the attempt of user in phase.
func (s *fakeStore) finish(user string, phase state.Phase) {
	s.do(func() {
		rec := s.records[user]
		rec.Phase = phase
		s.records[user] = rec
		s.inbox = nil
	})
}

func (s *fakeStore) acknowledged(attempt string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.acks, func(h state.Hold) bool { return h.Attempt == attempt })
}

func (s *fakeStore) disconnected(user string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tallies[user]
}

func (s *fakeStore) Get(_ context.Context, user string) (state.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	rec, ok := s.records[user]
	switch {
	case s.down:
		return rec, errStoreDown
	case !ok:
		return rec, state.ErrUnknown
	}
	return rec, nil
}

func (s *fakeStore) Folders(_ context.Context, user string) ([]state.Folder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.folders[user], s.err()
}

func (s *fakeStore) err() error {
	if s.down {
		return errStoreDown
	}
	return nil
}

func (s *fakeStore) Tally(_ context.Context, user string, _, disconnected int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tallies[user] += disconnected
	return s.err()
}

func (s *fakeStore) Watch(ctx context.Context) <-chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan string, 1)
	s.watch = append(s.watch, w)
	return w
}

func (s *fakeStore) Acknowledge(_ context.Context, _ state.Node, h state.Hold) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errStoreDown
	}
	s.acks = append(s.acks, h)
	return nil
}

func (s *fakeStore) CallOff(_ context.Context, l state.Lease, attempt, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.records[l.User]
	switch {
	case s.down:
		return errStoreDown
	case rec.Phase != state.Cutover || rec.Attempt != attempt || rec.Committing:
		return state.ErrPhase
	}
	rec.Phase = state.Tailing
	s.records[l.User] = rec
	s.calls = append(s.calls, attempt)
	s.inbox = nil
	return nil
}

func (s *fakeStore) Join(_ context.Context, name string, _ time.Duration) (state.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joins++
	s.fenced = false
	return state.Node{Name: name, Incarnation: string(rune('a' + s.joins))}, nil
}

func (s *fakeStore) Beat(context.Context, state.Node, time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fenced {
		return state.ErrFenced
	}
	return s.err()
}

func (s *fakeStore) Leave(context.Context, state.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left++
	return nil
}

func (s *fakeStore) Inbox(context.Context, state.Node) ([]state.Hold, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.inbox), s.err()
}

// fakeOfferer remembers who was offered.
type fakeOfferer struct {
	mu   sync.Mutex
	seen map[string]string
}

func (o *fakeOfferer) Offer(user string, secret backend.Secret) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = map[string]string{}
	}
	o.seen[user] = string(secret)
}

func (o *fakeOfferer) has(user, secret string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen[user] == secret
}

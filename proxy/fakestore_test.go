package proxy

import (
	"context"
	"errors"
	"os"
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
	touched []state.Touched  // of the last acknowledgement
	calls   []string         // attempts called off
	tallies map[string]int64 // sessions that the switch ended, by user, and by user and reason
	movedOf map[string]int64
	joins   int
	left    int
	watch   []chan string
	gets    int
	formers [][]string    // of each Join
	taken   *state.Taken  // what Join returns
	late    time.Duration // how long after its look Join returns that
	slow    time.Duration // Beat and Inbox are
	hangs   bool          // Beat and Inbox answer nothing
	lost    int           // how many answers of Join are yet to be lost
	stalls  time.Duration // before the answer to the next Join, and to Leave
	asked   chan struct{} // if not nil, Folders answers once it is closed

	run, accepted string   // records count if they are the same
	others        []string // nodes that have not posted to run
	unready       []string // those of them that are not ready
	marks         []string // "ready" and "post", in order
	roster        []string // what Ready was told of
}

func newFakeStore() *fakeStore {
	return &fakeStore{records: map[string]state.Record{}, folders: map[string][]state.Folder{}, tallies: map[string]int64{}, movedOf: map[string]int64{}}
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

func (s *fakeStore) moved(user string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.movedOf[user]
}

func (s *fakeStore) ended(user, reason string) int64 { return s.disconnected(user + " " + reason) }

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
	case s.run != s.accepted:
		return state.Record{}, state.ErrUntrusted
	case !ok:
		return rec, state.ErrUnknown
	}
	return rec, nil
}

func (s *fakeStore) Folders(_ context.Context, user string) ([]state.Folder, error) {
	if s.asked != nil {
		<-s.asked
	}
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

func (s *fakeStore) Tally(_ context.Context, user string, moved int64, ended map[string]int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.movedOf[user] += moved
	for reason, n := range ended {
		s.tallies[user] += n
		s.tallies[user+" "+reason] += n
	}
	return s.err()
}

func (s *fakeStore) Repair(_ context.Context, rec state.Record, _ []state.Folder) (state.Record, error) {
	s.do(func() { s.records[rec.User] = rec })
	return rec, nil
}

func (s *fakeStore) Doubt(context.Context) (state.Doubt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := state.Doubt{Run: s.run, Roster: []string{"n1"}, Untrusted: s.run != s.accepted}
	if d.Untrusted {
		d.Missing, d.Unready = slices.Clone(s.others), slices.Clone(s.unready)
	}
	return d, s.err()
}

func (s *fakeStore) NotSwitched(_ context.Context, users []string) (left []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range users {
		if !s.records[u].Phase.OnTarget() {
			left = append(left, u)
		}
	}
	return left, s.err()
}

func (s *fakeStore) Ready(_ context.Context, _ string, d state.Doubt, roster []string) error {
	s.do(func() { s.roster = roster })
	return s.mark("ready", d)
}

func (s *fakeStore) Post(_ context.Context, _ state.Node, d state.Doubt) error {
	return s.mark("post", d)
}

func (s *fakeStore) mark(what string, d state.Doubt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Run != s.run {
		return state.ErrUntrusted
	}
	if what == "post" && s.fenced {
		return state.ErrFenced
	}
	s.marks = append(s.marks, what)
	if what == "post" && len(s.others) == 0 {
		s.accepted = s.run
	}
	return s.err()
}

// restart begins another run of the store, with records, to which others must post too.
func (s *fakeStore) restart(run string, records map[string]state.Record, others ...string) {
	s.do(func() {
		s.run, s.records, s.others, s.unready, s.marks = run, records, others, others, nil
	})
}

func (s *fakeStore) Watch(ctx context.Context) <-chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan string, 1)
	s.watch = append(s.watch, w)
	return w
}

func (s *fakeStore) Acknowledge(_ context.Context, _ state.Node, h state.Hold, _ int, touched []state.Touched) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errStoreDown
	}
	s.acks = append(s.acks, h)
	s.touched = touched
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

func (s *fakeStore) Join(ctx context.Context, name string, _ time.Duration, former ...string) (state.Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.formers = append(s.formers, former)
	if taken := s.taken; taken != nil {
		s.mu.Unlock()
		time.Sleep(s.late)
		s.mu.Lock()
		return state.Node{}, taken
	}
	s.joins++
	s.fenced = false
	n := state.Node{Name: name, Incarnation: string(rune('a' + s.joins))}
	if s.lost > 0 {
		s.lost--
		return n, errStoreDown
	}
	return n, s.stall(ctx)
}

// stall answers late, once, or not in time, as a connection says it. It is called with mu held.
func (s *fakeStore) stall(ctx context.Context) error {
	late := s.stalls
	s.stalls = 0
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-ctx.Done():
		return os.ErrDeadlineExceeded
	case <-time.After(late):
		return nil
	}
}

func (s *fakeStore) Beat(ctx context.Context, _ state.Node, _ time.Duration) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fenced {
		return state.ErrFenced
	}
	return s.err()
}

func (s *fakeStore) Leave(ctx context.Context, _ state.Node) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stall(ctx); err != nil {
		return err
	}
	s.left++
	return nil
}

// wait is how a store is that is slow, or does not answer at all.
func (s *fakeStore) wait(ctx context.Context) error {
	s.mu.Lock()
	slow, hangs := s.slow, s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	time.Sleep(slow)
	return ctx.Err()
}

func (s *fakeStore) Inbox(ctx context.Context, _ state.Node) ([]state.Hold, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
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

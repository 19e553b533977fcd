package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// faulty is a store whose n-th call fails, before or after it has taken effect.
type faulty struct {
	s      *boltstate.Store
	n      atomic.Int64
	effect bool
	calls  atomic.Int64
	failed atomic.Value // the name of the call
}

var errAway = errors.New("store is away")

// call counts a call, runs it unless it is to fail before its effect, and returns what the caller is told.
func (f *faulty) call(name string, run func() error) error {
	hit := f.calls.Add(1) == f.n.Load()
	if hit {
		f.failed.Store(name)
		if !f.effect {
			return errAway
		}
	}
	if err := run(); err != nil || !hit {
		return err
	}
	return errAway
}

func ask[T any](f *faulty, name string, run func() (T, error)) (v T, err error) {
	if err = f.call(name, func() (err error) { v, err = run(); return err }); err != nil {
		return *new(T), err
	}
	return v, nil
}

func (f *faulty) Offer(ctx context.Context, user string) (state.Record, error) {
	return ask(f, "Offer", func() (state.Record, error) { return f.s.Offer(ctx, user) })
}
func (f *faulty) Get(ctx context.Context, user string) (state.Record, error) {
	return ask(f, "Get", func() (state.Record, error) { return f.s.Get(ctx, user) })
}
func (f *faulty) Repair(ctx context.Context, rec state.Record, folders []state.Folder) (state.Record, error) {
	return ask(f, "Repair", func() (state.Record, error) { return f.s.Repair(ctx, rec, folders) })
}
func (f *faulty) Due(ctx context.Context, limit int) ([]string, error) {
	return f.s.Due(ctx, limit)
}
func (f *faulty) List(ctx context.Context, phase state.Phase, after string, limit int) ([]state.Record, error) {
	return f.s.List(ctx, phase, after, limit)
}
func (f *faulty) Claim(ctx context.Context, user string, tokens []string) (string, error) {
	return ask(f, "Claim", func() (string, error) { return f.s.Claim(ctx, user, tokens) })
}
func (f *faulty) Folders(ctx context.Context, user string) ([]state.Folder, error) {
	return ask(f, "Folders", func() ([]state.Folder, error) { return f.s.Folders(ctx, user) })
}
func (f *faulty) Acquire(ctx context.Context, user, owner string, ttl time.Duration) (l state.Lease, r state.Record, err error) {
	err = f.call("Acquire", func() (err error) { l, r, err = f.s.Acquire(ctx, user, owner, ttl); return err })
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	return l, r, nil
}
func (f *faulty) Renew(ctx context.Context, l state.Lease, ttl time.Duration) error {
	return f.call("Renew", func() error { return f.s.Renew(ctx, l, ttl) })
}
func (f *faulty) Release(ctx context.Context, l state.Lease) error {
	return f.call("Release", func() error { return f.s.Release(ctx, l) })
}
func (f *faulty) Advance(ctx context.Context, l state.Lease, to state.Phase, c state.Change) (state.Record, error) {
	return ask(f, "Advance", func() (state.Record, error) { return f.s.Advance(ctx, l, to, c) })
}
func (f *faulty) Report(ctx context.Context, l state.Lease, p state.Progress) error {
	return f.call("Report", func() error { return f.s.Report(ctx, l, p) })
}
func (f *faulty) PutFolders(ctx context.Context, l state.Lease, folders ...state.Folder) error {
	return f.call("PutFolders", func() error { return f.s.PutFolders(ctx, l, folders...) })
}
func (f *faulty) DeleteFolder(ctx context.Context, l state.Lease, name string) error {
	return f.call("DeleteFolder", func() error { return f.s.DeleteFolder(ctx, l, name) })
}
func (f *faulty) PutExceptions(ctx context.Context, l state.Lease, list ...state.Exception) error {
	return f.call("PutExceptions", func() error { return f.s.PutExceptions(ctx, l, list...) })
}
func (f *faulty) DeleteException(ctx context.Context, l state.Lease, e state.Exception) error {
	return f.call("DeleteException", func() error { return f.s.DeleteException(ctx, l, e) })
}
func (f *faulty) DeleteExceptions(ctx context.Context, l state.Lease, folder string) error {
	return f.call("DeleteExceptions", func() error { return f.s.DeleteExceptions(ctx, l, folder) })
}
func (f *faulty) Exceptions(ctx context.Context, user, after string, limit int) ([]state.Exception, error) {
	return ask(f, "Exceptions", func() ([]state.Exception, error) { return f.s.Exceptions(ctx, user, after, limit) })
}
func (f *faulty) CountExceptions(ctx context.Context, user string) (map[string]int64, error) {
	return ask(f, "CountExceptions", func() (map[string]int64, error) { return f.s.CountExceptions(ctx, user) })
}
func (f *faulty) BeginCutover(ctx context.Context, l state.Lease, attempt string, budget time.Duration) (n state.Lease, r state.Record, err error) {
	err = f.call("BeginCutover", func() (err error) { n, r, err = f.s.BeginCutover(ctx, l, attempt, budget); return err })
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	return n, r, nil
}
func (f *faulty) Acknowledge(ctx context.Context, n state.Node, h state.Hold, sessions int, touched []state.Touched) error {
	return f.s.Acknowledge(ctx, n, h, sessions, touched)
}
func (f *faulty) Waiting(ctx context.Context, user, attempt string) ([]state.Node, error) {
	return ask(f, "Waiting", func() ([]state.Node, error) { return f.s.Waiting(ctx, user, attempt) })
}
func (f *faulty) Touched(ctx context.Context, user, attempt string) ([]state.Touched, error) {
	return ask(f, "Touched", func() ([]state.Touched, error) { return f.s.Touched(ctx, user, attempt) })
}
func (f *faulty) Watch(ctx context.Context) <-chan string { return f.s.Watch(ctx) }
func (f *faulty) Sessions(ctx context.Context, user, attempt string) (map[state.Node]int, error) {
	return ask(f, "Sessions", func() (map[state.Node]int, error) { return f.s.Sessions(ctx, user, attempt) })
}
func (f *faulty) CallOff(ctx context.Context, l state.Lease, attempt, reason string) error {
	return f.call("CallOff", func() error { return f.s.CallOff(ctx, l, attempt, reason) })
}
func (f *faulty) Commit(ctx context.Context, l state.Lease, attempt string) error {
	return f.call("Commit", func() error { return f.s.Commit(ctx, l, attempt) })
}
func (f *faulty) Switch(ctx context.Context, l state.Lease, attempt string, hold time.Duration) (state.Record, error) {
	return ask(f, "Switch", func() (state.Record, error) { return f.s.Switch(ctx, l, attempt, hold) })
}

// small is an account with some of everything that costs a step of its own.
func small(s *stage) *stage {
	s.src.deliver("INBOX", 1, 2, 5)
	s.src.deliver("Work", 4)
	s.src.deliver("Empty")
	s.src.do(func() { s.src.subs["Work"] = true })
	return one(s)
}

// settled demands that nothing of the worker is left: no lease, no secret.
func (s *stage) settled() {
	s.t.Helper()
	s.await("released", func(r state.Record) bool { return r.Owner == "" || time.Until(r.LeaseUntil) < 0 })
	s.await("forgotten by the engine (I8)", func(state.Record) bool {
		s.engine.mu.Lock()
		defer s.engine.mu.Unlock()
		return len(s.engine.users) == 0
	})
}

// TestNoSecretsWritten runs a user through failures of all kinds and looks for the password in everything that is written (I8).
func TestNoSecretsWritten(t *testing.T) {
	const secret = "s3cr3t\"pass"
	s := small(newStage(t, batchCaps))
	for _, f := range []*fake{s.src, s.dst} {
		f.do(func() { f.pass[`s3cr3t"pass`], f.trouble = true, &trouble{n: 30, kind: "cut"} })
	}
	f := &faulty{s: s.store}
	f.n.Store(12)
	s.wrap = func(*boltstate.Store) Store { return f }
	s.start()
	s.engine.Offer("alice", secret)
	s.migrated()
	s.stop()
	rec, err := s.store.Get(s.ctx, "alice")
	folders, err2 := s.store.Folders(s.ctx, "alice")
	for _, text := range []string{s.log.String(), fmt.Sprintf("%+v %+v %v %v", rec, folders, err, err2)} {
		if strings.Contains(text, "s3cr3t") || strings.Contains(text, `"pass"`) {
			t.Errorf("the password is in %s", text)
		}
	}
}

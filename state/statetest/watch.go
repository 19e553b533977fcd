package statetest

import (
	"context"
	"fmt"
	"time"

	"imapferry/state"
)

// A change is told sooner or later; since single ones may be missed, the test changes again until it hears.
func testWatch(r *rig) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	l := r.bring("alice", state.Copying)
	c := r.Store.Watch(ctx)
	r.until("a change is told", func() bool {
		r.advance(l, state.Copying)
		select {
		case user := <-c:
			return user == "alice"
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
	cancel()
	r.until("the channel is closed", func() bool {
		select {
		case _, open := <-c:
			return !open
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
}

// until tries f until it is true.
func (r *rig) until(what string, f func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); !f(); {
		if time.Now().After(deadline) {
			r.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

// Who does not read holds nobody up.
func testWatchSlow(r *rig) {
	r.Store.Watch(r.ctx)
	l := r.bring("alice", state.Copying)
	for i := range 2000 {
		r.must(r.Store.Report(r.ctx, l, state.Progress{Messages: int64(i)}))
	}
}

// A context that has ended ends every call, and nothing is written.
func testCanceled(r *rig) {
	l := r.bring("alice", state.Tailing)
	n := r.join("n")
	before := r.get("alice")
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	s := r.Store
	for i, run := range []func() error{
		func() error { _, err := s.Offer(ctx, "bob"); return err },
		func() error { _, err := s.Get(ctx, "alice"); return err },
		func() error { _, err := s.List(ctx, 0, "", 9); return err },
		func() error { _, err := s.Counts(ctx); return err },
		func() error { _, err := s.Due(ctx, 9); return err },
		func() error { _, err := s.Claim(ctx, "alice", []string{"t"}); return err },
		func() error { _, err := s.Retry(ctx, "alice"); return err },
		func() error { _, err := s.Park(ctx, "alice"); return err },
		func() error { _, err := s.ReleaseUser(ctx, "alice"); return err },
		func() error { return s.Tally(ctx, "alice", 1, map[string]int64{"view": 1}) },
		func() error { _, err := s.Folders(ctx, "alice"); return err },
		func() error { _, _, err := s.Acquire(ctx, "alice", "w", Long); return err },
		func() error { return s.Renew(ctx, l, Long) },
		func() error { return s.Release(ctx, l) },
		func() error { _, err := s.Advance(ctx, l, state.Copying, state.Change{}); return err },
		func() error { return s.Report(ctx, l, state.Progress{Messages: 1}) },
		func() error { return s.PutFolders(ctx, l, state.Folder{Name: "INBOX"}) },
		func() error { return s.DeleteFolder(ctx, l, "INBOX") },
		func() error { _, _, err := s.BeginCutover(ctx, l, "x", Long); return err },
		func() error { return s.Acknowledge(ctx, n, hold(l, "x"), 0, nil) },
		func() error { _, err := s.Waiting(ctx, "alice", "x"); return err },
		func() error { _, err := s.Touched(ctx, "alice", "x"); return err },
		func() error { _, err := s.Sessions(ctx, "alice", "x"); return err },
		func() error { return s.CallOff(ctx, l, "x", "") },
		func() error { return s.Commit(ctx, l, "x") },
		func() error { _, err := s.Switch(ctx, l, "x", 0); return err },
		func() error { _, err := s.Join(ctx, "m", Long); return err },
		func() error { return s.Beat(ctx, n, Long) },
		func() error { return s.Leave(ctx, n) },
		func() error { _, err := s.Live(ctx); return err },
		func() error { _, err := s.Inbox(ctx, n); return err },
		func() error { return s.Ping(ctx) },
	} {
		r.want(fmt.Sprintf("call %d", i), run(), context.Canceled)
	}
	if after := r.get("alice"); !same(after, before) {
		r.Errorf("calls that were canceled changed %+v to %+v", before, after)
	}
	r.wantLive("after calls that were canceled", n)
}

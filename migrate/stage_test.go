package migrate

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/journal"
)

// stage is two fakes, a store and an engine between them.
type stage struct {
	t        *testing.T
	ctx      context.Context
	src, dst *fake
	store    *boltstate.Store
	engine   *Engine
	settings Settings
	wrap     func(*boltstate.Store) Store
	journal  *journal.Journal // nil: none
	adapter  adapter          // instead of the one for plain IMAP
	lanes    int
	front    *fake                 // the target's usual listener; dst is behind worker_url then
	sessions func(user string) int // of the node; nil: none
	log      lockedBuffer
}

// lockedBuffer keeps the log of a run.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const (
	batchCaps = "MULTIAPPEND LITERAL+"
	plainCaps = ""
)

func newStage(t *testing.T, dstCaps string) *stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	s := &stage{t: t, ctx: ctx, src: newFake(t, "source", ""), dst: newFake(t, "target", dstCaps), settings: patient()}
	var err error
	if s.store, err = boltstate.Open(filepath.Join(testbed.InMemory(t), "state.db"), boltstate.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.stop()
		s.store.Close()
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

// start begins a new incarnation of the engine and offers alice.
func (s *stage) start() {
	s.t.Helper()
	s.startAlone()
	s.engine.Offer("alice", "pass")
}

// startAlone begins one to which nobody is offered.
func (s *stage) startAlone() {
	s.t.Helper()
	s.stop()
	var store Store = s.store
	if s.wrap != nil {
		store = s.wrap(s.store)
	}
	target, settings := s.dst, DefaultTargetSettings()
	if s.front != nil {
		target, settings.WorkerURL = s.front, "imap://"+s.dst.ln.Addr().String()
	}
	var err error
	s.engine, err = New(Config{Settings: s.settings, Source: s.src.backend(s.t), Target: target.backend(s.t), TargetSettings: settings,
		Store: store, Journal: s.journal, Prove: "route", Owner: "test", Node: "one", Sessions: s.sessions, Lanes: s.lanes, Log: slog.New(slog.NewTextHandler(&s.log, nil))})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.adapter != nil {
		s.engine.adapter = s.adapter
	}
	s.engine.pace = pace{look: 20 * time.Millisecond, retry: 20 * time.Millisecond, settle: 200 * time.Millisecond}
	s.engine.Start(s.ctx)
}

func (s *stage) stop() {
	if s.engine != nil {
		s.engine.Stop()
		s.engine = nil
	}
}

// retry does what an operator does after mending what the reason named.
func (s *stage) retry() {
	s.t.Helper()
	if _, err := s.store.Retry(s.ctx, "alice"); err != nil {
		s.t.Fatal(err)
	}
	s.engine.Wake("alice")
}

func (s *stage) await(what string, cond func(state.Record) bool) state.Record {
	s.t.Helper()
	for {
		rec, err := s.store.Get(s.ctx, "alice")
		if err == nil && cond(rec) {
			return rec
		}
		select {
		case <-s.ctx.Done():
			s.t.Fatalf("alice is not %s: %+v (%v)", what, rec, err)
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// migrated waits for the switch and demands that both accounts are equal.
func (s *stage) migrated() {
	s.t.Helper()
	s.await("migrated", func(r state.Record) bool {
		if r.Phase == state.Held {
			s.t.Fatalf("held: %s", r.Reason)
		}
		return r.Phase == state.Migrated
	})
	if src, dst := s.src.text(false), s.dst.text(false); src != dst {
		s.t.Errorf("source:\n%starget:\n%s", src, dst)
	}
}

// held waits until the user is held and demands that the reason says all of words.
func (s *stage) held(words ...string) {
	s.t.Helper()
	s.says(s.await("held", func(r state.Record) bool { return r.Phase == state.Held }), words)
}

// failing waits until a try has failed and demands that the reason says all of words.
func (s *stage) failing(words ...string) {
	s.t.Helper()
	s.says(s.await("failing", func(r state.Record) bool { return r.Attempts > 0 || r.Phase == state.Held }), words)
}

func (s *stage) says(r state.Record, words []string) {
	s.t.Helper()
	for _, w := range words {
		if !strings.Contains(r.Reason, w) {
			s.t.Errorf("reason %q does not say %q", r.Reason, w)
		}
	}
}

// TestStage moves a small account between the fakes, by both ways to append, so that the tests on them fail for their
// own reasons.
func TestStage(t *testing.T) {
	for _, caps := range []string{batchCaps, plainCaps} {
		s := newStage(t, caps)
		s.src.deliver("INBOX", 1, 2, 5, 40)
		s.src.deliver("Raw \xff \"quoted\" \\ name", 3, 5000)
		s.src.do(func() { s.src.subs["INBOX"] = true })
		s.start()
		s.migrated()
	}
}

// TestWorkerURL: all that a worker does at the target it does by worker_url, where appends need set off no push and no filter.
func TestWorkerURL(t *testing.T) {
	s := newStage(t, batchCaps)
	s.front = newFake(t, "target", batchCaps)
	s.src.deliver("INBOX", 1, 2)
	s.start()
	s.migrated()
	s.front.do(func() {
		if len(s.front.heard) > 0 {
			t.Errorf("the usual listener was sent %v", s.front.heard)
		}
	})
}

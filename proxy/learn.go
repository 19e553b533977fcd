package proxy

import (
	"context"
	"slices"
	"sync"
	"time"

	"imapferry/internal/backend"
)

// Bounds of asking the target what it can.
const (
	learnTimeout = DefaultDrain // no stop waits longer for it than for sessions
	learnPause   = time.Minute  // between tries; a target that is down would be asked at each login
)

// learned is what the backends were last seen to offer. It is safe for concurrent use.
type learned struct {
	mu     sync.Mutex
	byName map[string]backend.Caps // guarded by mu
	tried  time.Time               // when the target was asked last; guarded by mu
}

func (l *learned) note(name string, caps backend.Caps) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName == nil {
		l.byName = map[string]backend.Caps{}
	}
	l.byName[name] = slices.Clone(caps)
}

// promise returns what a session on rt may tell its client of the capabilities that its server names. The other
// server's are as they are now, so the promise stays the same for the session's life.
func (l *learned) promise(rt route) func(backend.Caps) backend.Caps {
	l.mu.Lock()
	defer l.mu.Unlock()
	source, target := l.byName["source"], l.byName["target"]
	onSource, phase, fidelity := rt.onSource, rt.rec.Phase, rt.rec.Fidelity // the record would live as long as the session
	return func(caps backend.Caps) backend.Caps {
		if onSource {
			return promise(phase, fidelity, caps, target)
		}
		return promise(phase, fidelity, source, caps)
	}
}

// wanting reports whether a try to learn what the backend name offers is due, and counts it as made.
func (l *learned) wanting(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.byName[name]; known || now.Sub(l.tried) < learnPause {
		return false
	}
	l.tried = now
	return true
}

// learnTarget logs in to the target once, in the background, by the first user's secret that the source has accepted:
// as long as nobody knows what the target can, clients are promised the baseline only. A target that does not let
// this user in is asked with the next one.
func (s *Server) learnTarget(ctx context.Context, user string, secret backend.Secret) {
	if !s.learned.wanting("target", time.Now()) {
		return
	}
	s.sessions.Go(func() { s.askTarget(ctx, user, secret) })
}

func (s *Server) askTarget(ctx context.Context, user string, secret backend.Secret) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	conn, err := s.cfg.Target.Dial(ctx, nil)
	if err == nil {
		defer conn.Close()
		_, err = conn.Login(ctx, user, secret)
	}
	if err != nil {
		s.cfg.Log.Info("target's capabilities are not known yet", "user", user, "err", err)
		return
	}
	s.learned.note("target", conn.Caps)
}

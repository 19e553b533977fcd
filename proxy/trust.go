package proxy

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"imapferry/state"
)

// trust is what this node knows of whether the store's records count.
type trust struct {
	suspected chan struct{} // has something in it if an answer said that they do not
	buried    atomic.Bool   // the store has lost this node's life, which must join anew at once

	mu    sync.RWMutex
	turn  int       // guarded by mu: how often the journal was read to be posted
	since time.Time // guarded by mu: they do not count; zero if they do
}

func newTrust() *trust { return &trust{suspected: make(chan struct{}, 1)} }

// suspect has the healer look if err says that records do not count.
func (t *trust) suspect(err error) {
	if errors.Is(err, state.ErrUntrusted) {
		select {
		case t.suspected <- struct{}{}:
		default:
		}
	}
}

// now returns the turn, as of which whoever asks the store next is answered.
func (t *trust) now() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.turn
}

// next begins another turn: what is noted in the journal before is read from now on, and nothing is noted any more that was learned before.
func (t *trust) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn++
}

// within notes what was learned in turn, unless the journal has been read since: the switch may be one that the store has lost, and would
// be known to this node alone.
func (t *trust) within(turn int, note func() error) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if turn != t.turn {
		return state.ErrUntrusted
	}
	return note()
}

// lost and found say whether records count.
func (t *trust) lost(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = now
}

func (t *trust) found() { t.lost(time.Time{}) }

// comesSoon reports whether a login should wait for records to count: they do within moments if all nodes live.
func (t *trust) comesSoon() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.since.IsZero() || time.Since(t.since) < healSoon
}

package proxy

import (
	"sync/atomic"
	"time"
)

// life is this node's lease on life: whether it may take itself for alive. It is asked with every piece that is read from the source,
// so it must cost nothing: whoever asks has looked at the clock already.
//
// A process that is stopped, or whose host sleeps, does not notice; others declare it dead meanwhile, and users are switched without
// it. So what comes from the source is passed on only if the lease was still valid after it was read (the model's
// NO_LEASE_CHECK_AFTER_READ): then the source had said it before anybody could take the node for dead.
//
// Go's clock stands still while the host sleeps. The one on the wall does not, but is set now and then. While they agree the host has
// not slept; if not, a third clock decides, which costs a system call.
//
// Limit: a virtual machine that is stopped together with all its clocks notices nothing.
type life struct {
	ttl       time.Duration
	sleepless func() time.Duration // another clock in tests

	last atomic.Pointer[sign]
}

// sign is a sign of life: when it was sent, by all clocks.
type sign struct {
	at        time.Time // by Go's
	wall      int64     // nanoseconds
	sleepless time.Duration
	over      bool // the incarnation has ended
}

// slack is how far, as a part of the TTL, two clocks may be apart that agree. It is less than state.Margin allows for.
const slack = 100

func newLife(ttl time.Duration) *life {
	l := &life{ttl: ttl, sleepless: sleeplessClock}
	l.last.Store(&sign{over: true})
	return l
}

func wallClock() time.Duration { return time.Duration(time.Now().UnixNano()) }

// sign is taken before a sign of life is sent: what counts is when that began, and not when it was heard of (the model's
// BEAT_FROM_REPLY).
func (l *life) sign() *sign {
	now := time.Now()
	return &sign{at: now, wall: now.UnixNano(), sleepless: l.sleepless()}
}

// renew extends the lease: s has come through.
func (l *life) renew(s *sign) { l.last.Store(s) }

// end ends it: whatever the clocks say, the store has refused this incarnation.
func (l *life) end() {
	s := *l.last.Load()
	s.over = true
	l.last.Store(&s)
}

// silent returns for how long, at now, no sign of life has come through.
func (l *life) silent(now time.Time) time.Duration {
	s := l.last.Load()
	passed := now.Sub(s.at)
	if apart := time.Duration(now.UnixNano()-s.wall) - passed; apart.Abs() > l.ttl/slack {
		return l.sleepless() - s.sleepless
	}
	return passed
}

// valid reports whether the lease is valid at now, which was read a moment ago.
func (l *life) valid(now time.Time) bool { return !l.last.Load().over && l.silent(now) < l.ttl }

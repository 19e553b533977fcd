package proxy

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// When memory is given back.
const (
	tidyShare = 32               // once one session in so many has dozed off
	tidyLeast = 64               // but for fewer sessions it is not worth the trouble
	tidyPause = 5 * time.Second  // at least, between two times
	tidyEvery = 30 * time.Second // where sessions doze off all the time
)

// From leanFrom sessions on garbage is collected when half as much has been allocated as is in use, not when as much
// has: what a login leaves lies between what stays, and no page is free in which anything stays. The fewer logins lie
// between two collections, the denser the rest. It costs no more collections than a small heap has by default.
const (
	leanFrom    = 1000
	leanPercent = 50
	usualGC     = 100 // Go's default, which GOGC overrides
)

// tidy gives back to the system what sessions have left that dozed off: buffers, the stacks of their pumps, what the
// login took. The Go runtime collects garbage when about as much has been allocated as is in use, which on a server
// where most are idle may take hours, and it gives back memory only as far as it does not expect to use it again soon:
// so a wave of logins, such as after a restart, would be paid for until the next one.
//
// It works when a wave is over, not within it. A collection costs some ten milliseconds of CPU time for 5,000 idle
// sessions.
type tidy struct {
	dozed atomic.Int64 // sessions since the last time

	// Owned by the dozer.
	seen int64 // of dozed at the last look
	last time.Time
	lean bool
}

// look is called at each look at all sessions, of which there are n.
func (t *tidy) look(now time.Time, n int) {
	t.pace(n)
	if t.due(now, n) {
		runtime.GC() // what is in pools is free after the second collection
		debug.FreeOSMemory()
	}
}

// due reports whether it is time, and counts from now on if it is.
func (t *tidy) due(now time.Time, n int) bool {
	dozed := t.dozed.Load()
	since := now.Sub(t.last)
	ripe := since > tidyEvery || dozed == t.seen && since >= tidyPause
	t.seen = dozed
	if !ripe || dozed < int64(max(n/tidyShare, tidyLeast)) {
		return false
	}
	t.dozed.Add(-dozed)
	t.seen, t.last = 0, now
	return true
}

// pace sets how soon garbage is collected, unless the operator has.
func (t *tidy) pace(n int) {
	lean := n >= leanFrom
	if lean == t.lean || os.Getenv("GOGC") != "" {
		return
	}
	t.lean = lean
	if lean {
		debug.SetGCPercent(leanPercent)
	} else {
		debug.SetGCPercent(usualGC)
	}
}

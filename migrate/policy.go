package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"imapferry/state"
)

// Policy says when a user who is ready is switched. An operator's release stands above it, for one user until the switch.
type Policy string

// The choices of cutover. Both live and idle keep to cutover_windows.
const (
	CutoverLive   Policy = "live"   // at once
	CutoverIdle   Policy = "idle"   // while the user has no session on any node
	CutoverManual Policy = "manual" // when an operator releases the user
)

// How far apart the looks at a user are who is ready and waits. Each look is a whole tail, so that the target follows and the last
// pass stays short, however long it takes. Distances double from look to look, since many users may wait, and for days.
const (
	firstPass, mostPass           = 5 * time.Minute, 2 * time.Hour
	firstElsewhere, mostElsewhere = 30 * time.Second, 10 * time.Minute // these looks hold other nodes' sessions, for moments
)

// waiting says why a user who is ready is not switched yet. It is an error only for who looks for one: nothing has failed.
type waiting struct {
	why       string
	here      bool          // this node has sessions
	elsewhere bool          // other nodes have, which is known from a hold
	again     time.Duration // until the next look
}

func (w *waiting) Error() string { return w.why }

// patience is what the engine remembers of a candidate who is ready and waits.
type patience struct {
	waits     bool      // ready, when last looked at
	looks     int       // that ended in waiting, in a row
	elsewhere bool      // the last of them found sessions on other nodes
	notBefore time.Time // the next hold of other nodes' sessions, whatever happens here
	watched   bool      // this node has sessions; when the last one is gone, the engine looks at once
	left      bool      // it is gone, and there was no look since
}

// next returns how far off the next look is: no later than when the next window opens.
func (p patience) next(w *waiting, opens time.Duration) time.Duration {
	d, most := firstPass, mostPass
	if w.elsewhere {
		d, most = firstElsewhere, mostElsewhere
	}
	if p.elsewhere == w.elsewhere {
		d <<= min(p.looks, 10)
	}
	if opens > 0 {
		d = min(d, opens)
	}
	return min(d, most)
}

// after returns p after a try that ended with out.
func (p patience) after(out outcome) patience {
	w := out.waiting
	if w == nil && !out.rests && !out.busy {
		return patience{}
	}
	p.watched = out.watched
	p.left = p.left && w == nil && !out.watched
	if out.busy {
		return p
	}
	p.waits = true
	if w == nil {
		return p
	}
	if w.elsewhere != p.elsewhere {
		p.looks = 0
	}
	p.looks, p.elsewhere = p.looks+1, w.elsewhere
	if w.elsewhere {
		p.notBefore = time.Now().Add(w.again)
	}
	return p
}

// waits returns what the policy wants to wait for before rec's user is switched, as far as this node knows; nil for nothing.
func (e *Engine) waits(rec state.Record) *waiting {
	release := "`imapferry cutover " + rec.User + "`"
	switch {
	case rec.Released:
	case e.cfg.Cutover == CutoverManual:
		return &waiting{why: "ready; waits for " + release}
	case !e.windows.open(time.Now()):
		return &waiting{why: "ready; waits for migrate.cutover_windows (" + strings.Join(e.cfg.CutoverWindows, ", ") + "); " + release + " does not"}
	case e.cfg.Cutover == CutoverIdle:
		if n := e.sessions(rec.User); n > 0 {
			return &waiting{why: untilIdle(rec.User, fmt.Sprintf("%d open on node %s", n, e.cfg.Node)), here: true}
		}
	}
	return nil
}

func untilIdle(user, open string) string {
	return "ready; waits until the user has no session (" + open + "); `imapferry cutover " + user + "` does not"
}

// sessions returns how many sessions of user this node has.
func (e *Engine) sessions(user string) int {
	if e.cfg.Sessions == nil {
		return 0
	}
	return e.cfg.Sessions(user)
}

// rests tells, before the lease is taken, that rec's user waits and that it is not yet time for the next look: logins, hints and
// other nodes must cost no pass, let alone a hold.
func (e *Engine) rests(rec state.Record, p patience) (out outcome, yes bool) {
	off := time.Until(rec.NextTry)
	if rec.Phase != state.Tailing || rec.Attempts > 0 || off <= 0 || rec.Released {
		return outcome{}, false
	}
	w, held := e.waits(rec), time.Until(p.notBefore)
	if w == nil && (e.cfg.Cutover != CutoverIdle || p.left && held <= 0) {
		return outcome{}, false
	}
	if p.left && held > 0 {
		off = min(off, held)
	}
	return outcome{again: off, rests: true, watched: e.watches(rec.User, w)}, true
}

// watches reports whether the user waits, beside what else it may be, for sessions on this node.
func (e *Engine) watches(user string, w *waiting) bool {
	return e.cfg.Cutover == CutoverIdle && (w != nil && w.here || e.sessions(user) > 0)
}

// watchSessions makes the engine look at those whose last session on this node has gone.
func (e *Engine) watchSessions() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for user, c := range e.users {
		if c.watched && !c.busy && e.sessions(user) == 0 {
			c.watched, c.left, c.fresh = false, true, true
			c.retryAt = c.notBefore
		}
	}
}

// listen hears which records have changed, until ctx ends. Users who wait are looked at then: an operator may have released them
// through another node.
func (e *Engine) listen(ctx context.Context) {
	for user := range e.cfg.Store.Watch(ctx) {
		e.mu.Lock()
		c := e.users[user]
		if c != nil {
			c.hinted = true
		}
		if c != nil && c.waits && !c.busy {
			c.retryAt = time.Time{}
			e.look()
		}
		e.mu.Unlock()
	}
}

// whenAllowed cuts over as soon as the policy allows it. Who has to wait stays in tailing; that is written with the next look's time,
// and the answer tells whether the user was released meanwhile.
func (w *worker) whenAllowed(ctx context.Context) (state.Phase, string, error) {
	for {
		wait := w.e.waits(w.rec)
		if wait == nil {
			next, reason, err := w.cutover(ctx)
			if !errors.As(err, &wait) {
				return next, reason, err
			}
		}
		wait.again = w.patience.next(wait, w.e.windows.opens(time.Now()))
		rec, err := w.e.cfg.Store.Advance(ctx, w.held(), state.Tailing, state.Change{Reason: wait.why, Again: wait.again})
		if err != nil {
			return 0, "", err
		}
		if w.rec = rec; !rec.Released {
			w.log.Info("waiting", "reason", wait.why, "next", wait.again)
			return 0, "", wait
		}
	}
}

// onlyIdle reports whether this cutover may only take place if no node has a session.
func (w *worker) onlyIdle() bool { return w.e.cfg.Cutover == CutoverIdle && !w.rec.Released }

// noSessions demands that no node has told of a session with its acknowledgement.
func (w *worker) noSessions(ctx context.Context, attempt string) error {
	open, err := w.e.cfg.Store.Sessions(ctx, w.user, attempt)
	if err != nil || len(open) == 0 {
		return err
	}
	var nodes []string
	for n, sessions := range open {
		nodes = append(nodes, fmt.Sprintf("%d open on node %s", sessions, n.Name))
	}
	slices.Sort(nodes)
	return &waiting{why: untilIdle(w.user, strings.Join(nodes, ", ")), elsewhere: true}
}

// awaitIdle is awaitNodes for an idle cutover. A node without sessions acknowledges at once, so one that is late in half of the budget
// must be waiting for a command of some session, and that is no failure.
func (w *worker) awaitIdle(ctx context.Context, attempt string) error {
	bounded, cancel := context.WithTimeoutCause(ctx, w.e.cfg.HoldBudget/2, errOverBudget)
	defer cancel()
	err := w.awaitNodes(bounded, attempt)
	var late *unheld
	if errors.Is(err, errOverBudget) && errors.As(err, &late) {
		return &waiting{why: untilIdle(w.user, "node "+late.node+" cannot hold its own at once"), elsewhere: true}
	}
	if err != nil {
		return err
	}
	return w.noSessions(ctx, attempt)
}

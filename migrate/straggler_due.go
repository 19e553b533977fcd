package migrate

import (
	"context"
	"errors"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

// Straggler passes are as far apart as the switch is ago, within these bounds: first for deliveries that were under
// way, then for an MTA that nobody has told yet.
const (
	minSpacing = time.Minute
	maxSpacing = time.Hour
)

// Bounds of the shelf, on which the secrets of migrated users wait for the next pass. Whose secret has no place there
// gets passes at logins alone.
const (
	maxShelf   = 100_000
	shelfEvery = 5 * time.Second // how often it is looked through
)

// spacing returns when the next pass is due, for a user whose switch is ago. never says that the grace period is over.
// The last pass is at its end.
func (e *Engine) spacing(ago time.Duration) (next time.Duration, never bool) {
	left := e.cfg.Stragglers - ago
	return min(max(ago, minSpacing), maxSpacing, max(left, time.Second)), left <= 0
}

// nextPass returns how far off the next pass of a migrated user is. over says that none is to come; a grace period
// that was made longer counts at the next login.
func (e *Engine) nextPass(rec state.Record) (wait time.Duration, over bool) {
	if rec.NextTry.IsZero() && rec.Reason == state.Repaired { // what the store has of the folders may be from before the switch
		return 0, true
	}
	if rec.NextTry.IsZero() {
		_, over = e.spacing(time.Since(rec.Migrated))
		return 0, over
	}
	return time.Until(rec.NextTry), false
}

// later is the outcome for a migrated user whose next pass is off by wait. Without secrets the store says when it is due.
func (e *Engine) later(wait time.Duration, over bool) outcome {
	if over || !e.needsSecret() {
		return outcome{settled: true, over: true}
	}
	return outcome{late: true, again: wait}
}

// shelve puts a migrated user's secrets aside until the next pass. mu is held.
func (e *Engine) shelve(user string, c *candidate) {
	delete(e.users, user)
	if len(c.secrets) > 0 && len(e.shelf) < maxShelf {
		e.shelf[user] = c
	}
}

// unshelve takes user back among those to be looked at. mu is held.
func (e *Engine) unshelve(user string) {
	if c := e.shelf[user]; c != nil {
		delete(e.shelf, user)
		e.users[user] = c
	}
}

// unshelveDue takes back all whose pass is due.
func (e *Engine) unshelveDue() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for user, c := range e.shelf {
		if !now.Before(c.retryAt) {
			e.unshelve(user)
		}
	}
}

// secretsAtHand returns the secrets of user that are at hand.
func (e *Engine) secretsAtHand(user string) []backend.Secret {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range []map[string]*candidate{e.users, e.shelf} {
		if c := m[user]; c != nil {
			return append([]backend.Secret(nil), c.secrets...)
		}
	}
	return nil
}

// endPass writes how a straggler pass ended and when the next one is due. Nothing takes a migrated user back, so
// whatever went wrong is tried again until the grace period is over.
func (w *worker) endPass(ctx context.Context, err error) outcome {
	next, never := w.e.spacing(time.Since(w.rec.Migrated))
	if err == nil {
		c := state.Change{Reason: w.leftBehind(), Again: next}
		if never {
			c.Again = state.Never
		}
		return w.write(ctx, state.Migrated, c, w.e.later(next, never))
	}
	c := state.Change{Reason: "stragglers: " + err.Error(), Retry: w.e.pace.backoff(w.rec.Attempts, maxSpacing)}
	out := w.e.later(c.Retry, never)
	if errors.Is(err, errNoSecret) || w.e.cfg.Source.NeedsSecret() && authFailed(err) {
		c.Reason = "stragglers wait for the user's next login: " + err.Error()
		out = outcome{settled: true, over: true} // what the source refuses is of no use any more
	}
	if never {
		c.Retry, c.Again = 0, state.Never
	}
	w.log.Warn("looking for stragglers", "err", err)
	return w.write(ctx, state.Migrated, c, out)
}

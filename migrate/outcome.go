package migrate

import (
	"cmp"
	"context"
	"errors"
	"time"

	"imapferry/state"
)

// outcome is how a try ended, for the engine.
type outcome struct {
	settled bool          // nothing to do until the next offer or Wake
	over    bool          // nothing to do ever: the secrets are not needed any more
	late    bool          // nothing to do but straggler passes
	again   time.Duration // when to try again if not settled
	waiting *waiting      // a look has ended so: the user is ready, and the policy says to wait
	rests   bool          // there was no look: the user waits on
	busy    bool          // there was none, because another worker has the user
	watched bool          // the policy waits for sessions on this node
}

// end writes how a worker's run ended: well, stopped, held, waiting for a login, or to be tried again.
func (w *worker) end(ctx context.Context, err error) outcome {
	store := w.e.cfg.Store
	unreported := store.Report(ctx, w.held(), w.snapshot())
	if unreported != nil && !errors.Is(unreported, state.ErrLost) {
		w.log.Warn("reporting progress", "err", unreported)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return outcome{}
	case errors.Is(err, state.ErrLost):
		w.log.Warn("the lease is lost; another worker goes on", "err", err)
		return outcome{again: leaseTTL / 3}
	case w.rec.Phase == state.Migrated:
		return w.endPass(ctx, cmp.Or(err, unreported)) // operators go by when the last pass was
	case err == nil:
		return outcome{settled: true}
	}
	var wait *waiting
	if errors.As(err, &wait) { // which is written already
		return outcome{again: wait.again, waiting: wait, watched: w.e.watches(w.user, wait)}
	}
	reason, held := permanent(err)
	if w.rec.Park && errors.As(err, new(alien)) { // came in between; the next worker moves it aside
		held = false
	}
	if held {
		w.log.Warn("held", "reason", reason)
		return w.write(ctx, state.Held, state.Change{Reason: reason}, outcome{settled: true})
	}
	if errors.Is(err, errNoSecret) || w.e.cfg.Source.NeedsSecret() && authFailed(err) {
		w.log.Info("waiting for the next login", "err", err)
		return w.write(ctx, state.Pending, state.Change{Reason: "waiting for the user's next login: " + err.Error()}, outcome{settled: true})
	}
	again := w.e.pace.backoff(w.rec.Attempts, maxRetry)
	w.log.Warn("trying again", "in", again, "err", err)
	return w.write(ctx, w.rec.Phase, state.Change{Reason: err.Error(), Retry: again}, outcome{again: again})
}

// maxReleases is how often the store is told that the lease is given back. After that it ends by itself.
const maxReleases = 3

// release gives back the lease, so that the next worker need not wait for its end. A second Release does no harm.
func (w *worker) release(ctx context.Context) {
	for try := 1; ; try++ {
		err := w.e.cfg.Store.Release(ctx, w.held())
		if err == nil || errors.Is(err, state.ErrLost) {
			return
		}
		if try == maxReleases || ctx.Err() != nil {
			w.log.Warn("giving back the lease", "err", err)
			return
		}
	}
}

// write tells the store how it ended, and returns out. Where that cannot be written, the user is in some other phase
// than the worker knows, so another worker looks soon: a user may not be left in cutover.
func (w *worker) write(ctx context.Context, to state.Phase, c state.Change, out outcome) outcome {
	if _, err := w.e.cfg.Store.Advance(ctx, w.held(), to, c); err != nil {
		w.log.Warn("writing how it ended", "phase", to, "err", err)
		return outcome{again: w.e.pace.retry}
	}
	return out
}

// backoff doubles with each failed try in a row, up to most.
func (p pace) backoff(attempts int, most time.Duration) time.Duration {
	d := p.retry
	for range min(attempts, 20) {
		if d *= 2; d >= most {
			return most
		}
	}
	return d
}

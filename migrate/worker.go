package migrate

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
)

// leaseTTL is how long a worker may be out of touch before another one may take over.
const (
	leaseTTL    = 30 * time.Second
	reportEvery = time.Second
)

// worker moves one user, as long as it holds the lease.
type worker struct {
	// Static after construction.
	e          *Engine
	user       string
	targetUser string
	secrets    []backend.Secret
	patience   patience                // of the looks before
	renewed    atomic.Pointer[renewal] // nil without a lease
	adapter    adapter
	log        *slog.Logger
	progress   progress
	exceptions recorded

	mu       sync.Mutex // guards what follows; lanes work at once
	lease    state.Lease
	rec      state.Record
	folders  map[string]state.Folder
	atTarget map[string]bool      // the folders that the target had when the lease began
	lost     map[string]flags     // by folder, what the target was seen not to keep
	failures []error              // of single folders, in the round under way
	fresh    bool                 // the user was pending under this lease
	passed   map[string]time.Time // by folder, when the last pass that proved it equal began
	listed   map[string]digest    // by folder, of the source's listing that was proven equal
	refused  map[ofFolder]string  // why that was first refused under this lease

	cut bool // the lanes' connections are closed for good

	// Changed by the goroutine that runs the worker alone, or while it waits for that, with mu held.
	lanes []*lane

	// Written by the goroutine that runs the worker alone, before there is more than one lane.
	srcView, dstView           *view
	excluded, excludedAtTarget map[string]string // folders that are left out, and by which rule
	surveyed                   *account          // the source as the last round began

	hints hints // of the hold under way, or of none; owned by the goroutine that runs the worker
}

// run advances the user from phase to phase until there is nothing more to do now, and returns what went wrong. The
// context ends when the lease does.
func (w *worker) run(ctx context.Context) error {
	defer w.closeLanes()
	for {
		step := steps[w.rec.Phase]
		if step == nil {
			return nil
		}
		next, reason, err := step(w, ctx)
		if err != nil {
			return err
		}
		if next == w.rec.Phase {
			return nil
		}
		if err := w.advance(ctx, next, state.Change{Reason: reason, Fidelity: w.adapter.fidelity()}); err != nil {
			return err
		}
	}
}

// steps does the work of a phase and names the phase that follows.
var steps = map[state.Phase]func(*worker, context.Context) (next state.Phase, reason string, err error){
	state.Pending:  (*worker).prepare,
	state.Copying:  (*worker).copy,
	state.Tailing:  (*worker).tail,
	state.Cutover:  (*worker).recoverCutover,
	state.Migrated: (*worker).stragglers,
}

// advance writes a phase change. The cutover writes its own, and is only read again.
func (w *worker) advance(ctx context.Context, to state.Phase, c state.Change) error {
	if w.rec.Phase == state.Cutover || to == state.Migrated || to == state.Cutover {
		rec, err := w.e.cfg.Store.Get(ctx, w.user)
		if err == nil {
			w.rec = rec
		}
		return err
	}
	rec, err := w.e.cfg.Store.Advance(ctx, w.held(), to, c)
	if err != nil {
		return err
	}
	w.log.Info("phase", "from", w.rec.Phase, "to", to, "reason", c.Reason)
	w.rec = rec
	return nil
}

// held returns the lease as it is now; the cutover replaces it.
func (w *worker) held() state.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lease
}

func (w *worker) setLease(l state.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lease = l
}

// keepLease renews the lease and reports progress until ctx ends, and calls lost when the lease can no more be
// counted on: when the store says so, or when it has not answered for so long that the lease may have ended, counted
// from when the last renewal began (I6).
func (w *worker) keepLease(ctx context.Context, lost context.CancelCauseFunc) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	last, reported := w.renewed.Load(), state.Progress{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := newRenewal()
		if asked.at.Sub(last.at) > leaseTTL/3 {
			err := w.renew(ctx)
			if errors.Is(err, state.ErrLost) {
				err = w.renew(ctx) // the beginning of a cutover may have replaced the lease in between
			}
			if errors.Is(err, state.ErrLost) || err != nil && !last.valid(time.Now()) {
				lost(err)
				return
			}
			if err != nil {
				continue
			}
			last = asked
			w.renewed.Store(last)
		}
		if p := w.snapshot(); p != reported && w.report(ctx, p) == nil {
			reported = p
		}
	}
}

// renew and report are bounded, because a store that hangs must not keep the worker from seeing its lease end.
func (w *worker) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTTL/10)
	defer cancel()
	return w.e.cfg.Store.Renew(ctx, w.held(), leaseTTL)
}

func (w *worker) report(ctx context.Context, p state.Progress) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTTL/10)
	defer cancel()
	return w.e.cfg.Store.Report(ctx, w.held(), p)
}

// needLanes sees to it that n pairs of connections are open, or as many as are configured.
func (w *worker) needLanes(ctx context.Context, n int) error {
	for len(w.lanes) < min(n, w.e.cfg.Lanes) {
		l, err := w.openLane(ctx)
		if err != nil {
			if len(w.lanes) > 0 { // the server limits connections: fewer will do
				w.log.Info("going on with fewer connections", "lanes", len(w.lanes), "err", err)
				return nil
			}
			return err
		}
		w.mu.Lock()
		w.lanes = append(w.lanes, l)
		w.mu.Unlock()
	}
	return nil
}

var errCut = errors.New("the worker's connections have been cut")

// cutLanes closes all connections, whoever uses them now, and lets no lane open others: the worker is at its end.
func (w *worker) cutLanes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, l := range w.lanes {
		l.abort()
	}
}

// closeLanes is cutLanes for connections on which nothing is under way.
func (w *worker) closeLanes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, l := range w.lanes {
		l.close()
	}
	w.lanes = nil
}

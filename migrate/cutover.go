package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// ackPoll is how often the worker looks whether all nodes hold. The store's hints are not counted on.
const ackPoll = 10 * time.Millisecond

// switchTimeout bounds the tries to end a committed cutover. It cannot be called off any more; the next worker goes on.
const switchTimeout = 20 * time.Second

// cutover switches the user, or leaves everything as it was (I5): all nodes hold, a last round that proves what has
// changed, then commit and switch. Whatever fails before the commit calls it off. state/model/worker.pml is the model of it.
func (w *worker) cutover(ctx context.Context) (state.Phase, string, error) {
	store, attempt := w.e.cfg.Store, rand.Text()
	if w.onlyIdle() {
		attempt = state.IdleAttempt(attempt)
	}
	began := time.Now()
	lease, rec, err := store.BeginCutover(ctx, w.held(), attempt, w.e.cfg.HoldBudget)
	var silent *state.Silent
	if errors.As(err, &silent) { // which says all that an operator has to know
		return 0, "", silent
	}
	if err != nil {
		return 0, "", fmt.Errorf("begin cutover: %w", err)
	}
	w.setLease(lease)
	w.rec = rec
	w.log.Info("phase", "from", state.Tailing, "to", state.Cutover, "attempt", attempt, "budget", w.e.cfg.HoldBudget)
	if err := w.underHold(ctx, attempt, began.Add(w.e.cfg.HoldBudget)); err != nil {
		return 0, "", w.callOff(ctx, attempt, began, err)
	}
	return state.Migrated, "", w.finish(ctx, attempt, began)
}

// underHold does what has to be done while the user's sessions wait. It ends by the deadline.
func (w *worker) underHold(ctx context.Context, attempt string, deadline time.Time) error {
	bounded, cancel := context.WithDeadlineCause(ctx, deadline, errOverBudget)
	defer cancel()
	stop := context.AfterFunc(bounded, w.cutLanes) // a server that does not answer cannot stretch the hold
	defer stop()
	await := w.awaitNodes
	if w.onlyIdle() {
		await = w.awaitIdle
	}
	if err := await(bounded, attempt); err != nil {
		return err
	}
	if err := w.takeHints(bounded, attempt); err != nil {
		return err
	}
	err := w.lastRound(bounded)
	if bounded.Err() != nil {
		return context.Cause(bounded)
	}
	if err != nil {
		return err
	}
	if err := w.gate(bounded); err != nil {
		return err
	}
	return w.e.cfg.Store.Commit(ctx, w.held(), attempt)
}

// lastRound brings over what has changed up to the hold. It ends well only if source and target are equal then, and hold
// what clients were told is stored.
func (w *worker) lastRound(ctx context.Context) error {
	if _, err := w.round(ctx); err != nil {
		return err
	}
	if err := w.allListed(); err != nil {
		return err
	}
	if err := w.allProven(); err != nil {
		return err
	}
	return w.promisesKept()
}

// allProven is the gate: the last round has left no folder that it has not proven equal (I1).
func (w *worker) allProven() error {
	for f := range w.known() {
		if w.staysBehind(f) {
			continue // the gate asks whether it may stay behind
		}
		if _, n, err := w.folder(f); (err != nil || n.Dirty) && !w.leftOut(f) {
			return errors.Join(err, fmt.Errorf("%s is not proven equal", wire.Quoted(f)))
		}
	}
	return nil
}

var errOverBudget = errors.New("the hold budget is used up")

// awaitNodes waits until no node can send a write of the user to the source any more (I3).
func (w *worker) awaitNodes(ctx context.Context, attempt string) error {
	tick := time.NewTicker(ackPoll)
	defer tick.Stop()
	late := ""
	for {
		waiting, err := w.e.cfg.Store.Waiting(ctx, w.user, attempt)
		switch {
		case err == nil && len(waiting) == 0:
			return nil
		case err == nil:
			late = waiting[0].Name
		case ctx.Err() == nil || late == "":
			return err
		}
		select {
		case <-ctx.Done():
			return &unheld{late, context.Cause(ctx)}
		case <-tick.C:
		}
	}
}

// unheld is the end of waiting for a node.
type unheld struct {
	node  string
	cause error
}

func (u *unheld) Error() string {
	return fmt.Sprintf("%v: still waiting for node %s to hold its sessions", u.cause, u.node)
}

func (u *unheld) Unwrap() error { return u.cause }

// callOff ends an attempt that has failed with cause, unless it turns out to be committed.
func (w *worker) callOff(ctx context.Context, attempt string, began time.Time, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), switchTimeout)
	defer cancel()
	err := w.e.cfg.Store.CallOff(ctx, w.held(), attempt, "cutover called off: "+cause.Error())
	if errors.Is(err, state.ErrPhase) {
		rec, getErr := w.e.cfg.Store.Get(ctx, w.user)
		if getErr == nil && rec.Committing {
			w.rec = rec
			return w.finish(ctx, attempt, began) // the commit took place although its answer was lost
		}
	}
	w.rec.Phase = state.Tailing
	if _, ok := aboutMessage(cause); ok || errors.As(cause, new(stuck)) { // the next round goes around it
		cause = errors.New(cause.Error())
	}
	return errors.Join(fmt.Errorf("cutover called off: %w", cause), err)
}

// finish switches a committed user. It tries until the store has answered: nobody may call the attempt off any more.
func (w *worker) finish(ctx context.Context, attempt string, began time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), switchTimeout)
	defer cancel()
	for {
		held := time.Since(began)
		w.progress.holdMS.Store(held.Milliseconds())
		err := w.e.cfg.Store.Report(ctx, w.held(), w.snapshot())
		if err != nil {
			w.log.Warn("reporting progress", "err", err)
		}
		rec, err := w.e.cfg.Store.Switch(ctx, w.held(), attempt, held)
		if err == nil {
			w.log.Info("phase", "from", state.Cutover, "to", rec.Phase, "fidelity", rec.Fidelity, "hold", held.Round(time.Millisecond))
			return nil
		}
		if errors.Is(err, state.ErrLost) || errors.Is(err, state.ErrPhase) {
			return fmt.Errorf("switch: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("switch: %w", err)
		case <-time.After(ackPoll):
		}
	}
}

// recoverCutover ends what a dead worker has left: a committed attempt is switched, any other called off.
func (w *worker) recoverCutover(ctx context.Context) (state.Phase, string, error) {
	if w.rec.Committing {
		return state.Migrated, "", w.finish(ctx, w.rec.Attempt, time.Now())
	}
	if err := w.e.cfg.Store.CallOff(ctx, w.held(), w.rec.Attempt, "cutover called off: its worker is gone"); err != nil {
		return 0, "", err
	}
	return state.Tailing, "", nil
}

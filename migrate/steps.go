package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// prepare looks whether the user can be moved at all, and writes nothing to the target.
func (w *worker) prepare(ctx context.Context) (state.Phase, string, error) {
	if err := w.needLanes(ctx, 1); err != nil {
		return 0, "", err
	}
	l := w.lanes[0]
	if err := l.learnNames(); err != nil {
		return 0, "", err
	}
	if !l.dst.caps.Has("UIDPLUS") {
		return 0, "", holdf("target does not offer UIDPLUS (RFC 4315), without which equal UIDs cannot be made; enable it there, then retry")
	}
	if err := w.claim(ctx, l.src); err != nil {
		return 0, "", err
	}
	dst, err := w.surveyTarget(ctx, l)
	if err != nil {
		return 0, "", err
	}
	if err := w.checkQuota(l, dst); err != nil {
		return 0, "", err
	}
	w.fresh = true
	return state.Copying, "", nil
}

// copy brings all folders over once.
func (w *worker) copy(ctx context.Context) (state.Phase, string, error) {
	if err := w.begin(ctx); err != nil {
		return 0, "", err
	}
	if err := w.tryAgain(ctx); err != nil {
		return 0, "", err
	}
	if _, err := w.round(ctx); err != nil {
		return 0, "", err
	}
	return state.Tailing, "", nil
}

// Rounds of the tail follow each other until one has found little and was quick; then the user is ready.
const (
	fewChanges = 100
	maxTail    = 50
	maxSlow    = 3 // rounds in a row that found nothing and were still too slow
)

// tail repeats rounds until the difference is small, proves the bodies, and cuts over when the policy allows it.
func (w *worker) tail(ctx context.Context) (state.Phase, string, error) {
	if err := w.begin(ctx); err != nil {
		return 0, "", err
	}
	for i, slow := 0, 0; ; i++ {
		if i == maxTail {
			return 0, "", errors.New("the source changes faster than it can be followed")
		}
		began := time.Now()
		changed, err := w.round(ctx)
		if err != nil {
			return 0, "", err
		}
		if changed <= fewChanges && time.Since(began) < w.e.cfg.HoldBudget/2 {
			if err = w.proveBodies(ctx); errors.Is(err, errVanished) {
				continue
			}
			if err != nil {
				return 0, "", err
			}
			break
		}
		if slow++; changed > 0 {
			slow = 0
		}
		if slow == maxSlow {
			return 0, "", w.unlessItPasses(tooSlow(time.Since(began), w.e.cfg.HoldBudget))
		}
	}
	if err := w.carryAttributes(ctx); err != nil {
		return 0, "", err
	}
	if err := w.sameNames(); err != nil {
		return 0, "", err
	}
	if err := w.gate(ctx); err != nil {
		return 0, "", err
	}
	if err := w.tryTarget(ctx); err != nil {
		return 0, "", err
	}
	return w.whenAllowed(ctx)
}

// tooSlow is why a user is held whose folders cannot be looked at within the budget, and says which budget would do: the look takes half
// of it at most, and the next one may be slower.
func tooSlow(look, budget time.Duration) (reason string) {
	enough := (3*look + time.Second).Truncate(time.Second)
	if enough > maxHoldBudget {
		return fmt.Sprintf("a look at all folders takes %s, too long for sessions to be held (migrate.hold_budget is at most %s): "+
			"remove folders at the source or leave them out by migrate.exclude, or give the source CONDSTORE, then retry", look.Round(time.Millisecond), maxHoldBudget)
	}
	return fmt.Sprintf("a look at all folders takes %s, over half of hold_budget (%s): raise migrate.hold_budget to %s, then retry", look.Round(time.Millisecond), budget, enough)
}

// lastingTries is how many tries in a row must have failed before what may pass by itself holds a user: about a minute, as backoff spaces them.
const lastingTries = 6

// unlessItPasses holds the user for reason, once tries have failed for a while, the last one for the same, which is told before its first colon
// or figure: a server that is slow or lets nobody in for a moment would hold one user after the other.
func (w *worker) unlessItPasses(reason string) error {
	kind := reason[:strings.IndexAny(reason+":", ":0123456789")]
	if w.rec.Attempts < lastingTries || !strings.Contains(w.rec.Reason, kind) {
		return errors.New(reason)
	}
	return hold{reason}
}

// begin is the start of a lease in copying or tailing: connections, and the proof that the target is as it was left.
func (w *worker) begin(ctx context.Context) error {
	if len(w.lanes) > 0 {
		return nil // the same lease has just done the step before
	}
	if err := w.needLanes(ctx, 1); err != nil {
		return err
	}
	l := w.lanes[0]
	if err := l.learnNames(); err != nil {
		return err
	}
	dst, err := w.surveyTarget(ctx, l)
	if err != nil {
		return err
	}
	w.progress.done.Store(dst.messages())
	return nil
}

// surveyTarget looks at the target and proves that it is as it was left. From then on nobody but this worker makes folders there.
func (w *worker) surveyTarget(ctx context.Context, l *lane) (*account, error) {
	if err := w.renameRows(ctx); err != nil {
		return nil, err
	}
	dst, err := l.dst.survey()
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.atTarget = make(map[string]bool, len(dst.mailboxes))
	for n, m := range dst.mailboxes {
		w.atTarget[n] = m.selectable
	}
	w.mu.Unlock()
	w.excludedAtTarget = dst.excluded
	if err := dst.allOpened(); err != nil {
		return nil, err
	}
	return dst, w.checkTarget(ctx, l, dst)
}

// allOpened demands that the target opens all folders that it has.
func (a *account) allOpened() error {
	for _, m := range a.mailboxes {
		if m.unopened != "" {
			return holdf("%s in the target cannot be opened: %s; mend it there, then retry", wire.Quoted(m.name), m.unopened)
		}
	}
	return nil
}

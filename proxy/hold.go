package proxy

import (
	"context"
	"time"

	"imapferry/state"
)

// holdLimit is how long a session is held at most without knowing how the attempt ends: a budget and ten seconds.
// Then the session is ended; it never goes on by itself (I5).
const holdLimit = 13 * time.Second

// verdict is how an attempt ended, as read from the store.
type verdict int

const (
	undecided verdict = iota + 1
	calledOff
	switched
)

// readInbox starts a hold for every entry that has none yet.
func (n *Node) readInbox(ctx context.Context) {
	brief, cancel := n.brief(ctx)
	defer cancel()
	holds, err := n.store.Inbox(brief, n.me())
	if err != nil {
		n.trust.suspect(err)
		if ctx.Err() == nil {
			n.log.Debug("read inbox", "err", err) // Beat says it at its own pace
		}
		return
	}
	for _, h := range holds {
		n.startHold(ctx, h)
	}
}

func (n *Node) startHold(ctx context.Context, h state.Hold) {
	key := h.User + "\x00" + h.Attempt
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[key] {
		return
	}
	n.busy[key] = true
	quiet, changed := n.users.hold(h.User) // here and now: regain relies on it
	n.holds.Go(func() {
		n.hold(ctx, h, quiet, changed)
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.busy, key)
	})
}

// hold holds the user's sessions until it has read how the attempt ended. On the switch they move to the target; when it
// was called off they go on at the source.
func (n *Node) hold(ctx context.Context, h state.Hold, quiet []<-chan struct{}, changed func() <-chan struct{}) {
	switch n.await(ctx, h, quiet, changed) {
	case switched:
		n.moveAll(ctx, h.User)
		n.users.release(h.User, false)
	case calledOff:
		n.lost(ctx, h.User, "restless", n.users.release(h.User, !h.Idle()))
	case undecided:
		n.log.Error("the store does not say how the cutover ended; sessions end", "user", h.User, "attempt", h.Attempt)
		n.lost(ctx, h.User, "in-doubt", n.users.dismiss(h.User, inDoubt))
	}
}

// await acknowledges once all sessions are quiet and reads the record until the attempt is over, or the limit is reached.
func (n *Node) await(ctx context.Context, h state.Hold, quiet []<-chan struct{}, changed func() <-chan struct{}) verdict {
	limit := time.Now().Add(holdLimit)
	most := time.Now().Add(loginWait) // whatever the store's clock says
	for told := false; ; {
		wake := changed()
		for len(quiet) > 0 && isClosed(quiet[0]) {
			quiet = quiet[1:]
		}
		if len(quiet) == 0 && !told {
			told = n.acknowledge(ctx, h)
		}
		rec, err := n.read(ctx, h.User)
		switch {
		case err != nil:
			n.log.Warn("await the end of a cutover", "err", err)
		case rec.Phase == 0: // no record says how it ended
			n.log.Error("the record of a user in cutover is gone", "user", h.User, "attempt", h.Attempt)
		case rec.Phase.OnTarget():
			return switched
		case rec.Phase != state.Cutover || rec.Attempt != h.Attempt:
			return calledOff
		default:
			n.callOff(ctx, rec)
			if until := rec.Deadline.Add(cutoverMargin); until.After(limit) && until.Before(most) {
				limit = until
			}
		}
		if time.Now().After(limit) || n.rest(ctx, quiet, wake) != nil {
			return undecided
		}
	}
}

// rest ends when a session has come to rest, the record may have changed, or it is time to look anyway.
func (n *Node) rest(ctx context.Context, quiet []<-chan struct{}, wake <-chan struct{}) error {
	var first <-chan struct{}
	if len(quiet) > 0 {
		first = quiet[0]
	}
	t := time.NewTimer(cutoverPoll)
	defer t.Stop()
	select {
	case <-first:
	case <-wake:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (n *Node) acknowledge(ctx context.Context, h state.Hold) bool {
	ctx, cancel := n.brief(ctx)
	defer cancel()
	if err := n.store.Acknowledge(ctx, n.me(), h, n.users.sessionsOnSource(h.User), n.touches.list(h.User)); err != nil {
		n.log.Warn("acknowledge", "user", h.User, "attempt", h.Attempt, "err", err)
		return false
	}
	return true
}

package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/wire"
	"imapferry/state"
)

// carefully goes on with a copy that cause has ended, around the message that is to blame, to the survey's UIDNEXT. What is
// not about one message is returned.
func (l *lane) carefully(ctx context.Context, m *mailbox, a *appender, cause error) error {
	for cause != nil {
		upTo, ok := aboutMessage(cause)
		if !ok || ctx.Err() != nil || l.w.rec.Phase == state.Cutover { // takes longer than sessions are held
			return cause
		}
		l.w.log.Warn("going on around a message", "folder", m.name, "err", cause)
		list, err := l.regain(ctx, m, a)
		if err != nil {
			return errors.Join(cause, err)
		}
		if len(list) > 0 {
			n := min(list.below(upTo)+1, len(list))
			if err := l.bisect(ctx, m, a, list[:n]); err != nil {
				return err
			}
			a.expect = list[n:]
		}
		cause = l.copyBelow(a, a.next, m.status.uidNext)
	}
	return nil
}

// regain takes new connections, finds out what of the batches under way is in the target, and returns the messages of the
// source that are not.
func (l *lane) regain(ctx context.Context, m *mailbox, a *appender) (listing, error) {
	if err := l.reopen(); err != nil {
		return nil, err
	}
	_, n, err := l.w.folder(m.name)
	if err != nil {
		return nil, err
	}
	there, err := l.dst.statusOf(m.name)
	if err != nil {
		return nil, err
	}
	if there == nil {
		return nil, fmt.Errorf("target folder %s is gone just now", wire.Quoted(m.name))
	}
	n.Done = max(n.Done, a.sure)
	if err := l.explain(m.name, n, *there); err != nil {
		return nil, err
	}
	a.resume(l.dst, there.uidNext)
	if err := a.record(note{Done: a.next, Dirty: true}); err != nil {
		return nil, err
	}
	if _, err := l.openSource(m); err != nil {
		return nil, err
	}
	list, err := l.src.list(a.next, "FLAGS INTERNALDATE")
	return list[:list.below(m.status.uidNext)], err
}

// resume forgets the batch under way, and goes on by another connection where the target stands.
func (a *appender) resume(dst *client, next uint32) {
	a.dst, a.next = dst, next
	a.expect = nil
	a.open, a.alone, a.batch, a.plan, a.flying, a.bytes, a.made = false, false, a.batch[:0], nil, nil, 0, 0
	var filled wire.Set
	for uid := range a.filled.All() {
		if uid < next {
			filled.Add(uid)
		}
	}
	a.filled = filled
}

// bisect copies list, which has a message to blame among it, in ever smaller parts, and that message in whatever way it goes.
func (l *lane) bisect(ctx context.Context, m *mailbox, a *appender, list listing) error {
	for len(list) > 1 {
		half := list[:(len(list)+1)/2]
		list = list[len(half):]
		a.expect = half
		err := l.copyBelow(a, half[0].uid, half[len(half)-1].uid+1)
		if _, ok := aboutMessage(err); ok && ctx.Err() == nil {
			if _, err := l.regain(ctx, m, a); err != nil {
				return err
			}
			err = l.bisect(ctx, m, a, half[half.below(a.next):])
		}
		if err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	a.expect = nil
	return l.single(ctx, m, a, list[0])
}

// forgetReplaced takes back the exceptions of messages that are about to be tried.
func (l *lane) forgetReplaced(ctx context.Context, folder string, from uint32) error {
	for _, class := range replaced {
		var again wire.Set
		for uid := range l.w.exceptions.uids(folder, class).All() {
			if uid >= from {
				again.Add(uid)
			}
		}
		if err := l.w.mended(ctx, folder, class, again); err != nil {
			return err
		}
	}
	return nil
}

package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/wire"
	"imapferry/state"
)

// copyNew copies the messages from UID next on up to the survey's UIDNEXT, and returns the placeholders to expunge, and what
// the source has sent.
func (l *lane) copyNew(ctx context.Context, m *mailbox, next uint32) (filled wire.Set, sent listing, err error) {
	a := &appender{
		dst: l.dst, folder: m.name, next: next,
		multi: l.dst.appendsMany(), window: l.window(next), wary: l.wary,
		skip:  func(from, to uint32) error { return l.skip(ctx, m.name, from, to) },
		count: l.w.progress.add,
	}
	a.record = func(n note) error {
		n.Wary = a.wary
		return l.w.putNote(ctx, m.name, n)
	}
	err = l.forgetReplaced(ctx, m.name, next)
	switch {
	case err != nil:
	case l.gaps:
		err = unread{m.status.uidNext, fmt.Errorf("%s: the source does not send all messages that it lists", wire.Quoted(m.name))}
	default:
		err = l.copyBelow(a, next, m.status.uidNext)
	}
	if err != nil {
		if err = l.carefully(ctx, m, a, err); err != nil {
			return nil, nil, err
		}
		a.sent = nil // some messages more than once, some not as they are
	}
	return a.filled, a.sent, l.w.reached(m.name, a.next)
}

// window says how many APPENDs may be under way at once: several if it is worth it that all may have to be copied anew, in
// the bulk of a folder, and if that is possible, which the hold leaves no time for.
func (l *lane) window(next uint32) int {
	if !l.dst.pipesAppends() || l.wary == everyMessage || l.w.rec.Phase == state.Cutover || next > 1 && l.w.rec.Phase != state.Copying {
		return 0
	}
	return flightWindow
}

// copyBelow copies the messages with UIDs from from and below to, and makes to come next. Nothing is under way in the end.
func (l *lane) copyBelow(a *appender, from, to uint32) error {
	err := l.stream(a, from, to-1)
	if err == nil {
		err = a.expected(to)
	}
	if err == nil {
		err = a.fill(to)
	}
	if err == nil {
		err = a.flush()
	}
	if err != nil {
		err = a.abandon(err)
		l.wary = a.wary
	}
	return err
}

// skip makes to the target's UIDNEXT. A gap that is not filled is recorded before: the relay tells clients of it.
// Dovecot's Maildir loses its UIDs when UIDNEXT is raised after UIDVALIDITY was set, so a folder that far is copied
// anew. One that has the source's UIDVALIDITY by chance, as both were made in the same second, is not that far.
func (l *lane) skip(ctx context.Context, folder string, from, to uint32) error {
	if to-from <= copyGap {
		return l.dst.copyPlaceholders(folder, from, to)
	}
	f, n, err := l.w.folder(folder)
	if err != nil || n.Given && f.TargetUIDValidity == f.UIDValidity {
		return errors.Join(err, shifted{folder, fmt.Sprint(to), "a gap too long to fill"})
	}
	if l.w.adapter.fidelity() == state.Exact { // else nobody is promised QRESYNC, and the gap is filled anyway
		if !f.Skip(from, to-1) {
			return l.dst.copyPlaceholders(folder, from, to)
		}
		if err := l.w.putFolder(ctx, f, n); err != nil {
			return err
		}
	}
	return l.w.adapter.skip(ctx, l.dst, l.w.targetUser, folder, from, to)
}

// stream feeds a from the source's open folder. Where each message takes effect by itself, what will be appended is
// listed and recorded first, when nothing is under way any more of what was recorded before.
func (l *lane) stream(a *appender, from, to uint32) error {
	if a.multi || from > to {
		return l.src.stream(from, to, a.add)
	}
	all, err := l.src.list(from, "INTERNALDATE RFC822.SIZE")
	if err != nil {
		return err
	}
	for len(all) > 0 && all[0].uid <= to {
		var batch []intent
		for len(batch) < maxIntent && len(all) > 0 && all[0].uid <= to {
			batch = append(batch, intent{all[0].uid, all[0].date.Unix(), all[0].size})
			all = all[1:]
		}
		if err := a.flush(); err != nil {
			return err
		}
		a.plan = batch
		if err := a.record(note{Done: a.next, Intent: batch, Loose: true, Dirty: true}); err != nil {
			return err
		}
		if err := l.src.stream(batch[0].UID, batch[len(batch)-1].UID, a.add); err != nil {
			return err
		}
	}
	return nil
}

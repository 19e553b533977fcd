package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/wire"
)

// copyNew copies the messages from UID next on up to the survey's UIDNEXT, and returns the placeholders to expunge.
func (l *lane) copyNew(ctx context.Context, m *mailbox, next uint32) (wire.Set, error) {
	a := &appender{
		dst: l.dst, folder: m.name, next: next,
		multi:  l.dst.caps.Has("MULTIAPPEND") && l.dst.caps.Has("LITERAL+"),
		record: func(n note) error { return l.w.putNote(ctx, m.name, n) },
		skip:   func(from, to uint32) error { return l.skip(ctx, m.name, from, to) },
		count:  l.w.progress.add,
	}
	if err := l.stream(a, next, m.status.uidNext-1); err != nil {
		return nil, err
	}
	if err := a.fill(m.status.uidNext); err != nil {
		return nil, err
	}
	if err := a.flush(); err != nil {
		return nil, err
	}
	return a.filled, l.w.putNote(ctx, m.name, note{Done: a.next, Dirty: true})
}

// skip makes to the target's UIDNEXT. Dovecot's Maildir loses its UIDs when UIDNEXT is raised after UIDVALIDITY was
// set, so a folder that far is copied anew.
func (l *lane) skip(ctx context.Context, folder string, from, to uint32) error {
	if to-from <= copyGap {
		return l.dst.copyPlaceholders(folder, from, to)
	}
	if f, _, err := l.w.folder(folder); err != nil || f.TargetUIDValidity == f.UIDValidity {
		return errors.Join(err, shifted{folder, fmt.Sprint(to), "a gap too long to fill"})
	}
	return l.w.adapter.skip(ctx, l.dst, l.w.targetUser, folder, from, to)
}

// stream feeds a from the source's open folder. Where each message takes effect by itself, what will be appended is
// listed and recorded first.
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
		a.plan = batch
		if err := a.record(note{Done: a.next, Intent: batch, Dirty: true}); err != nil {
			return err
		}
		if err := l.src.stream(batch[0].UID, batch[len(batch)-1].UID, a.add); err != nil {
			return err
		}
	}
	return nil
}

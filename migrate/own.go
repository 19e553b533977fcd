package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// foreign holds the user: the target has mail that the engine did not put there (I4).
func foreign(folder string, s *status) error {
	return holdf("target folder %s holds mail of unknown origin (%d messages); move it away at the target, then retry", wire.Quoted(folder), s.messages)
}

// another holds the user: a folder of the target has the name of one that was copied, and is not that one (I4).
func another(folder string, s status) error {
	return holdf("target folder %s is not the one that was copied (its UIDVALIDITY is %d now); move it away and delete all other folders at the target to start over, then retry",
		wire.Quoted(folder), s.uidValidity)
}

// checkTarget demands, before the first write of a lease, that the target holds nothing but what the engine has
// recorded as its own (I4), and looks just as the last pass left it (I7). It settles what a dead worker had under
// way.
func (w *worker) checkTarget(ctx context.Context, l *lane, dst *account) error {
	known := w.known()
	if len(known) > 0 && w.wiped(dst, known) {
		w.log.Warn("target account is empty again: starting over")
		return w.forget(ctx, known)
	}
	for n, m := range dst.mailboxes {
		if _, ok := known[n]; !ok && m.selectable && m.status.messages > 0 {
			return foreign(n, &m.status)
		}
	}
	for n, f := range known {
		if err := w.checkFolder(ctx, l, f, dst.mailboxes[n]); err != nil {
			return err
		}
	}
	return nil
}

// wiped reports whether an operator has emptied the target account to start over: nothing is left that could be harmed.
func (w *worker) wiped(dst *account, known map[string]state.Folder) bool {
	for n, m := range dst.mailboxes {
		if m.selectable && (m.status.messages > 0 || m.status.uidNext > 1 && n != wire.Inbox) {
			return false
		}
	}
	for n, f := range known {
		if m := dst.mailboxes[n]; f.UIDValidity != 0 && m != nil && m.status.uidValidity == f.TargetUIDValidity {
			return false // the very folder is still there: its messages were expunged, or never copied
		}
	}
	return true
}

// checkFolder compares one folder of the target, nil if there is none, with its note, and moves Done to where the
// target's UIDNEXT really is.
func (w *worker) checkFolder(ctx context.Context, l *lane, f state.Folder, m *mailbox) error {
	n, err := readNote(f)
	if err != nil {
		return err
	}
	if m == nil || !m.selectable {
		if n.Drop { // by a worker that died before it could say so
			return w.deleteFolder(ctx, f.Name)
		}
		return holdf("target folder %s, which was copied, is gone; delete all folders at the target to start over, then retry", wire.Quoted(f.Name))
	}
	s := m.status
	if !n.names(f, s) {
		if n.Drop && s.messages == 0 { // INBOX is there again as soon as it is deleted
			return w.deleteFolder(ctx, f.Name)
		}
		return another(f.Name, s)
	}
	if !n.Dirty && s.uidNext == n.Done && s.messages == n.Messages && s.modSeq == n.ModSeq {
		return nil
	}
	if !n.Dirty && s.uidNext == n.Done && s.messages == n.Messages && n.ModSeq != 0 {
		touched, err := l.touchedSince(f.Name, n.ModSeq)
		if err != nil || !touched {
			return err
		}
	}
	if !n.Dirty {
		return holdf("target folder %s was changed by somebody else since the last pass (%d messages, were %d); was this user moved before?", wire.Quoted(f.Name), s.messages, n.Messages)
	}
	if s, err = w.settle(ctx, l, f.Name, n); err != nil {
		return err
	}
	if s.uidNext < n.Done {
		return holdf("target folder %s has UIDNEXT %d, but uids below %d were given already; delete it at the target, then retry", wire.Quoted(f.Name), s.uidNext, n.Done)
	}
	if err := l.explain(f.Name, n, s); err != nil {
		return err
	}
	f.TargetUIDValidity = s.uidValidity
	return w.putFolder(ctx, f, note{Done: s.uidNext, Dirty: true, Bodies: n.Bodies})
}

// touchedSince reports whether any message of a target folder has changed since modSeq. Dovecot's Maildir may raise
// HIGHESTMODSEQ by itself, some time after the folder was given its UIDVALIDITY.
func (l *lane) touchedSince(folder string, modSeq uint64) (touched bool, err error) {
	if _, err := l.dst.openFolder(folder, false); err != nil {
		return false, err
	}
	_, err = l.dst.do(func(r response) error {
		touched = touched || r.word == "FETCH"
		return nil
	}, "UID FETCH 1:* (FLAGS)", fmt.Sprintf("(CHANGEDSINCE %d)", modSeq))
	if err != nil {
		return false, fmt.Errorf("ask for changes of %s in target: %w", wire.Quoted(folder), err)
	}
	return touched, l.dst.closeFolder()
}

// explain demands that all messages of a target folder from Done on are what the note says was under way.
func (l *lane) explain(folder string, n note, s status) error {
	if s.uidNext <= n.Done {
		return nil
	}
	if _, err := l.dst.openFolder(folder, false); err != nil {
		return err
	}
	list, err := l.dst.list(n.Done, "INTERNALDATE RFC822.SIZE")
	if err != nil {
		return err
	}
	for i := range list {
		if !n.explains(&list[i]) {
			return fmt.Errorf("uid %d: %w", list[i].uid, foreign(folder, &status{messages: uint32(len(list))}))
		}
	}
	return l.dst.closeFolder()
}

// reset removes a target folder, all of whose contents must be ours, so that it can be copied anew.
func (l *lane) reset(ctx context.Context, folder string) error {
	f, n, err := l.w.folder(folder)
	if err != nil {
		return err
	}
	if err := l.dst.closeFolder(); err != nil {
		return err
	}
	s, err := l.dst.statusOf(folder)
	if err != nil {
		return err
	}
	if s != nil {
		if !n.names(f, *s) {
			return another(folder, *s)
		}
		if err := l.explain(folder, n, *s); err != nil {
			return err
		}
		n.Dirty, n.Drop = true, true
		if err := l.w.putNote(ctx, folder, n); err != nil {
			return err
		}
		if err := l.remove(ctx, folder); err != nil {
			return err
		}
	}
	return l.w.deleteFolder(ctx, folder)
}

// remove deletes a target folder that is empty or proven ours. Dovecot's Maildir cannot make a new INBOX by any means.
func (l *lane) remove(ctx context.Context, folder string) error {
	if folder == wire.Inbox {
		err := l.w.adapter.clearInbox(ctx, l.dst, l.w.targetUser)
		var refused *backend.Refused
		var failed *doveadmError
		if errors.As(err, &refused) && refused.Status != "BYE" || errors.As(err, &failed) {
			return holdf("target INBOX has given out UIDs that are needed, and cannot be made new (%v); remove the user's mail at the target, then retry", err)
		}
		return err
	}
	if _, err := l.dst.do(nil, "DELETE", name(folder)); err != nil {
		return fmt.Errorf("delete %s in target: %w", wire.Quoted(folder), err)
	}
	return nil
}

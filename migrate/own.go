package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"imapferry/internal/wire"
	"imapferry/state"
)

// alien holds the user, because something in the target is not the engine's (I4); `retry --park` moves it aside.
type alien struct{ hold }

func (a alien) Unwrap() error { return a.hold }

func alienf(format string, args ...any) error { return alien{hold{fmt.Sprintf(format, args...)}} }

// foreign says that the target has mail that the engine did not put there.
func foreign(folder string, s *status) error {
	return alienf("target folder %s holds mail of unknown origin (%d messages); move it away at the target, then retry, or retry --park", wire.Quoted(folder), s.messages)
}

// another says that a folder of the target has the name of one that was copied, and is not that one.
func another(folder string, s status) error {
	return alienf("target folder %s is not the one that was copied (its UIDVALIDITY is %d now); move it away and delete all other folders at the target to start over, then retry, or retry --park",
		wire.Quoted(folder), s.uidValidity)
}

// checkTarget demands, before the first write of a lease, that the target holds nothing but what the engine has
// recorded as its own (I4), and looks just as the last pass left it (I7). It settles what a dead worker had under
// way.
func (w *worker) checkTarget(ctx context.Context, l *lane, dst *account) error {
	known := w.known()
	if err := l.discardRest(known, dst); err != nil {
		return err
	}
	if made := w.made(); len(made) > 0 && w.wiped(dst, made) {
		w.log.Warn("target account is empty again: starting over")
		return w.forget(ctx, made)
	}
	for n, m := range dst.mailboxes {
		if _, ok := known[n]; ok || !m.selectable || m.status.messages == 0 || w.dstView.isParked(n) {
			continue
		}
		if err := w.parked(foreign(n, &m.status), func() error { return l.parkAll(n) }); err != nil {
			return err
		}
	}
	for n, f := range known {
		if w.leftOut(n) {
			continue // it was copied before it was left out, and stays as it is
		}
		err := w.checkFolder(ctx, l, f, dst.mailboxes[n])
		if err := w.parked(err, func() error { return l.parkKnown(ctx, f, dst.mailboxes[n]) }); err != nil {
			return err
		}
	}
	return nil
}

// discardRest deletes what a worker has moved away of its own INBOX, and died before it could delete it.
func (l *lane) discardRest(known map[string]state.Folder, dst *account) error {
	aside := l.dst.own(discardedInbox)
	_, copied := known[aside]
	n, err := readNote(known[wire.Inbox])
	m := dst.mailboxes[aside]
	if err != nil || copied || m == nil || !m.selectable || m.status.messages > 0 && !n.Drop {
		return err
	}
	delete(dst.mailboxes, aside)
	return l.remove(l.ctx, aside)
}

// made returns the folders that were made, as far as is known: one that was only about to be may be there all the same, and is
// not given up.
func (w *worker) made() map[string]state.Folder {
	known := w.known()
	maps.DeleteFunc(known, func(_ string, f state.Folder) bool {
		n, err := readNote(f)
		return err == nil && (n.Make || n.Shell)
	})
	return known
}

// wiped reports whether an operator has emptied the target account to start over: nothing is left that could be harmed, and
// none of the folders that were made.
func (w *worker) wiped(dst *account, made map[string]state.Folder) bool {
	for n, m := range dst.mailboxes {
		if m.selectable && !w.dstView.isParked(n) && (m.status.messages > 0 || m.status.uidNext > 1 && n != wire.Inbox) {
			return false
		}
	}
	for n, f := range made {
		if m := dst.mailboxes[n]; m != nil && m.status.uidValidity == f.TargetUIDValidity {
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
	if n.Shell {
		if m != nil && m.status.messages > 0 {
			return foreign(f.Name, &m.status)
		}
		return nil
	}
	if m == nil || !m.selectable {
		if n.Drop { // by a worker that died before it could say so
			return w.deleteFolder(ctx, f.Name)
		}
		if n.Make { // by one that died before it could, or was refused, which stays known
			return w.deleteRecord(ctx, f.Name)
		}
		return alienf("target folder %s, which was copied, is gone; delete all folders at the target to start over, then retry, or retry --park", wire.Quoted(f.Name))
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
		return alienf("target folder %s was changed by somebody else since the last pass (%d messages, were %d); was this user moved before? If not, retry --park", wire.Quoted(f.Name), s.messages, n.Messages)
	}
	if s, err = w.settle(ctx, l, f.Name, n); err != nil {
		return err
	}
	if s.uidNext < n.Done {
		n.Drop = true // once it is deleted, as it says here, it is one of ours to be copied anew
		if err := w.putNote(ctx, f.Name, n); err != nil {
			return err
		}
		return holdf("target folder %s has UIDNEXT %d, but uids below %d were given already; delete it at the target, then retry", wire.Quoted(f.Name), s.uidNext, n.Done)
	}
	err = l.explain(f.Name, n, s)
	astray := errors.As(err, new(shifted))
	if err != nil && !astray {
		return err
	}
	f.TargetUIDValidity = s.uidValidity
	return w.putFolder(ctx, f, note{Done: s.uidNext, Dirty: true, Bodies: n.Bodies, Given: n.Given, Wary: n.Wary, Astray: n.Astray || astray, carried: n.carried})
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

// explain demands that all messages of a target folder from Done on are what the note says was under way. It returns shifted if
// they are, and some are not at the UIDs that they were due.
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
	alien, astray, err := l.unexplained(folder, n, list)
	if err != nil {
		return err
	}
	if len(alien) > 0 {
		return fmt.Errorf("uid %s: %w", short(alien), foreign(folder, &status{messages: uint32(len(list))}))
	}
	if err := l.dst.closeFolder(); err != nil || len(astray) == 0 {
		return err
	}
	return shifted{folder, "those that were due", short(astray)}
}

// unexplained returns the messages of list, from the target's open folder, that are not what the note says was under way, and
// those that are, but not where they were due. A message whose lines do not end by CRLF has another size there, and one that has
// strayed may have the date and size of the one that was due: their bytes tell.
func (l *lane) unexplained(folder string, n note, list listing) (alien, astray wire.Set, err error) {
	var odd, compared, same wire.Set
	for i := range list {
		if m := &list[i]; !n.explains(m) || n.doubts(m) {
			odd.Add(m.uid)
		}
	}
	for _, i := range n.Intent {
		if odd.Contains(i.UID) {
			compared.Add(i.UID)
		}
	}
	if len(compared) > 0 {
		if same, err = l.sameButLineEnds(folder, compared); err != nil {
			return nil, nil, err
		}
	}
	for i := range list {
		m := &list[i]
		switch {
		case !odd.Contains(m.uid) || same.Contains(m.uid):
		case n.strayed(m):
			astray.Add(m.uid)
		default:
			alien.Add(m.uid)
		}
	}
	return alien, astray, nil
}

// reset removes a target folder, all of whose contents must be ours, so that it can be copied anew.
func (l *lane) reset(ctx context.Context, folder string) error {
	_, n, err := l.w.folder(folder)
	if err == nil {
		err = l.clear(ctx, folder, func() error { return l.remove(ctx, folder) })
	}
	if err == nil {
		err = l.w.deleteFolder(ctx, folder)
	}
	if err == nil && folder == wire.Inbox && n.carries() { // a new INBOX may have the old one's rights, and the account its entries
		err = l.w.putFolders(ctx, noted(state.Folder{Name: folder}, note{Done: 1, Make: true, Dirty: true, carried: n.carried}))
	}
	return err
}

// clear has a target folder, all of whose contents must be ours, taken away by remove, if it is there.
func (l *lane) clear(ctx context.Context, folder string, remove func() error) error {
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
	if s == nil {
		return nil
	}
	if !n.names(f, *s) {
		return another(folder, *s)
	}
	if err := l.explain(folder, n, *s); err != nil && !errors.As(err, new(shifted)) { // astray, they are ours all the same
		return err
	}
	n.Dirty, n.Drop = true, true
	if err := l.w.putNote(ctx, folder, n); err != nil {
		return err
	}
	return remove()
}

// undeletable holds the user, because the target does not delete a folder. Once the operator has, the note says that it was to go.
type undeletable struct{ hold }

func (u undeletable) Unwrap() error { return u.hold }

// remove deletes a target folder that is empty or proven ours. Dovecot's Maildir cannot make a new INBOX by any means.
func (l *lane) remove(ctx context.Context, folder string) error {
	if folder == wire.Inbox {
		err := l.w.adapter.clearInbox(ctx, l.dst, l.w.targetUser)
		var failed *doveadmError
		if refusedForGood(err) || errors.As(err, &failed) {
			return holdf("target INBOX has given out UIDs that are needed, and cannot be made new (%v); remove the user's mail at the target, then retry", err)
		}
		return err
	}
	_, err := l.dst.do(nil, "DELETE", name(folder))
	if refusedForGood(err) && l.dst.caps.Has("METADATA") { // Cyrus keeps a user from deleting folders with a special use
		if _, err := l.dst.do(nil, "SETMETADATA", name(folder), "(/private/specialuse NIL)"); err != nil && !refusedForGood(err) {
			return fmt.Errorf("take the special use from %s in target: %w", wire.Quoted(folder), err)
		}
		_, err = l.dst.do(nil, "DELETE", name(folder))
	}
	if refusedForGood(err) && !gone(err) {
		return undeletable{hold{fmt.Sprintf("the target refuses to delete its folder %s, which holds nothing but what was copied there: %v; delete it there, then retry",
			wire.Quoted(folder), err)}}
	}
	if err != nil {
		return fmt.Errorf("delete %s in target: %w", wire.Quoted(folder), err)
	}
	return nil
}

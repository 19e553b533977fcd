package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// create makes the folder in the target, or takes an empty one that has never held a message.
func (l *lane) create(ctx context.Context, m *mailbox) (note, error) {
	var there *status
	var err error
	if l.w.begun(m.name) {
		if there, err = l.dst.statusOf(m.name); err != nil {
			return note{}, err
		}
	}
	if there != nil && there.messages > 0 {
		return note{}, foreign(m.name, there)
	}
	// Both accounts may have been made in the same second; but then the target has not given out as many UIDs (I7).
	if there != nil && there.uidNext > 1 && there.uidNext >= m.status.uidNext && there.uidValidity == m.status.uidValidity {
		return note{}, holdf("target folder %s has the source's UIDVALIDITY, but nothing is recorded of it; was this user moved before? If not, delete it at the target, then retry", wire.Quoted(m.name))
	}
	n := note{Done: 1, Dirty: true}
	if there != nil && there.uidNext > 1 {
		if err := l.remove(ctx, m.name); err != nil {
			return note{}, err
		}
		there = nil
	} else if there != nil && l.dst.pipesAppends() {
		kept, err := l.kept(m.name, there)
		if err != nil {
			return note{}, err
		}
		if kept {
			n.Wary = everyMessage
		}
	}
	if there == nil && m.name != wire.Inbox {
		if err := l.announce(ctx, m); err != nil {
			return note{}, err
		}
		if err := l.createAnyhow(ctx, m); err != nil {
			return note{}, err
		}
	}
	if err := l.w.adapter.prepare(ctx, l.dst, l.w.targetUser, []*mailbox{m}); err != nil {
		return note{}, err
	}
	if there, err = l.dst.statusOf(m.name); err != nil {
		return note{}, err
	}
	if there != nil {
		if err := l.distinct(m.name, there); err != nil {
			return note{}, err
		}
	}
	if there == nil || !there.unused() {
		return note{}, holdf("target folder %s cannot be made new: it does not begin with UID 1; delete it at the target, then retry", wire.Quoted(m.name))
	}
	_, old, err := l.w.folder(m.name)
	if err != nil {
		return note{}, err
	}
	n.carried = old.carried
	return n, l.w.putFolders(ctx, noted(newRecord(m, there), n))
}

// kept reports whether the target may keep folder, which is there and has never held a message, when it has to be made new. A server may
// let nobody delete its special folders. With INBOX it is tried: it is moved away, so that mail that comes just now is not lost.
func (l *lane) kept(folder string, there *status) (bool, error) {
	if folder != wire.Inbox {
		return true, nil
	}
	aside := l.dst.own(discardedInbox)
	_, refused := l.dst.do(nil, "RENAME", name(wire.Inbox), name(aside))
	if refused != nil && !declined(refused) {
		return false, fmt.Errorf("move INBOX aside: %w", refused)
	}
	moved, err := l.dst.statusOf(aside) // also after a refusal, since a server may say NO to what it has done
	if err != nil {
		return false, err
	}
	if moved == nil && refused != nil {
		return true, nil
	}
	if moved != nil && moved.messages > 0 {
		return false, foreign(aside, moved)
	}
	if moved != nil {
		if _, err := l.dst.do(nil, "DELETE", name(aside)); err != nil {
			return false, fmt.Errorf("delete the INBOX that was moved aside: %w", err)
		}
	}
	now, err := l.dst.statusOf(wire.Inbox)
	return now == nil || now.uidValidity == there.uidValidity, err
}

// announce records folders, by the names that the target is about to be asked for, before they are created: one that vanishes
// at the source before more is known of it must not stay behind in the target.
func (l *lane) announce(ctx context.Context, folders ...*mailbox) error {
	var records []state.Folder
	for _, m := range folders {
		f, n, err := l.w.folder(m.name)
		if err != nil {
			return err
		}
		if !n.Make || f.Target != l.w.named(f).Target {
			records = append(records, noted(state.Folder{Name: m.name}, note{Done: 1, Make: true, Dirty: true}))
		}
	}
	return l.w.putFolders(ctx, records...)
}

// unused reports whether a folder has never held a message.
func (s *status) unused() bool { return s.uidNext == 1 && s.messages == 0 }

// newRecord is what is known of a folder that was made for m.
func newRecord(m *mailbox, there *status) state.Folder {
	f := state.Folder{Name: m.name, UIDValidity: m.status.uidValidity, TargetUIDValidity: there.uidValidity}
	return noted(f, note{Done: 1, Dirty: true})
}

// createAnyhow makes the folder, under another name if the target does not take its own.
func (l *lane) createAnyhow(ctx context.Context, m *mailbox) error {
	err := l.dst.create(m.name, m.special)
	if !errors.As(err, new(stuck)) || !l.w.escape(m.name) {
		return err
	}
	if err := l.announce(ctx, m); err != nil {
		return err
	}
	again := l.dst.create(m.name, m.special)
	if errors.As(again, new(stuck)) {
		l.w.dstView.escapes.remove(m.name)
		return errors.Join(err, l.announce(ctx, m))
	}
	return again
}

// distinct demands that a folder that has just been made is not one that was copied under another spelling of its name: some
// servers fold case, and give two names to one folder.
func (l *lane) distinct(folder string, there *status) error {
	for _, n := range l.w.surveyed.spellings(folder) {
		f, _, err := l.w.folder(n)
		if err != nil {
			return err
		}
		if f.TargetUIDValidity != there.uidValidity {
			continue
		}
		listed, err := l.dst.uses() // two folders may have been made in one second
		if err != nil {
			return err
		}
		if !listed.has(n) || !listed.has(folder) {
			return holdf("names collide: the target takes the folders %s and %s for one; rename one of them at the source, then retry", wire.Quoted(n), wire.Quoted(folder))
		}
	}
	return nil
}

// create makes a folder, for the given special uses if the server can (RFC 6154). A name that the server does not take stays one.
func (c *client) create(folder, uses string) error {
	_, err := c.do(nil, c.createCommand(folder, uses)...)
	if uses != "" && refusedForGood(err) { // another folder may have this use
		_, err = c.do(nil, c.createCommand(folder, "")...)
	}
	var refused *backend.Refused
	if errors.As(err, &refused) && codeWord(refused) == "ALREADYEXISTS" {
		return nil // made just now as the parent of a folder that another lane has made; the caller looks whether it is new
	}
	if refusedForGood(err) && codeWord(refused) != "OVERQUOTA" {
		if listed, err := c.uses(); err != nil || listed.has(folder) { // Cyrus gives no code
			return err
		}
		return stuckf("the %s cannot have a folder %s: %s", c.side, wire.Quoted(folder), refused.Text)
	}
	if err != nil {
		return fmt.Errorf("create %s in %s: %w", wire.Quoted(folder), c.side, err)
	}
	return nil
}

func (c *client) createCommand(folder, uses string) []any {
	command := []any{"CREATE", name(folder)}
	if uses != "" && c.caps.Has("CREATE-SPECIAL-USE") {
		command = append(command, "(USE ("+capitalised(uses)+"))")
	}
	return command
}

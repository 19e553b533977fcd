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
		return note{}, holdf("target folder %s has the source's UIDVALIDITY, but nothing is recorded of it; was this user moved before?", wire.Quoted(m.name))
	}
	if there != nil && there.uidNext > 1 {
		if err := l.remove(ctx, m.name); err != nil {
			return note{}, err
		}
		there = nil
	}
	if there == nil && m.name != wire.Inbox {
		if err := l.dst.create(m.name); err != nil {
			return note{}, err
		}
	}
	if err := l.w.adapter.prepare(ctx, l.w.targetUser, m.name, m.status); err != nil {
		return note{}, err
	}
	if there, err = l.dst.statusOf(m.name); err != nil {
		return note{}, err
	}
	if there == nil || there.uidNext != 1 || there.messages != 0 {
		return note{}, holdf("target folder %s cannot be made new: it does not begin with UID 1; delete it at the target", wire.Quoted(m.name))
	}
	n := note{Done: 1, Dirty: true}
	return n, l.w.putFolder(ctx, state.Folder{Name: m.name, UIDValidity: m.status.uidValidity, TargetUIDValidity: there.uidValidity}, n)
}

// create makes a folder. A name that the server does not take stays one.
func (c *client) create(folder string) error {
	_, err := c.do(nil, "CREATE", name(folder))
	var refused *backend.Refused
	if errors.As(err, &refused) && (wire.EqualFold(refused.Code, "CANNOT") || refused.Status == "BAD") {
		return holdf("the %s cannot have a folder %s: %s", c.side, wire.Quoted(folder), refused.Text)
	}
	if errors.As(err, &refused) && wire.EqualFold(refused.Code, "ALREADYEXISTS") {
		return nil // made just now as the parent of a folder that another lane has made; the caller looks whether it is new
	}
	if err != nil {
		return fmt.Errorf("create %s in %s: %w", wire.Quoted(folder), c.side, err)
	}
	return nil
}

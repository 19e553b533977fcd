package migrate

import (
	"context"
	"fmt"

	"imapferry/internal/wire"
	"imapferry/state"
)

// prove records that source and target were equal when the source had the status of m, gives the target its
// UIDVALIDITY, and notes what the target looks like now.
func (l *lane) prove(ctx context.Context, m *mailbox) error {
	if err := l.dst.closeFolder(); err != nil {
		return err
	}
	there, err := l.dst.statusOf(m.name)
	if err != nil {
		return err
	}
	_, n, err := l.w.folder(m.name)
	if err != nil {
		return err
	}
	if there == nil || there.uidNext != n.Done {
		return shifted{m.name, fmt.Sprint(n.Done), "another UIDNEXT"}
	}
	if l.w.adapter.fidelity() == state.Exact && there.uidValidity != m.status.uidValidity {
		n.Dirty, n.Given = true, true
		if err := l.w.putNote(ctx, m.name, n); err != nil {
			return err
		}
		if there, err = l.giveUIDValidity(ctx, m, *there); err != nil {
			return err
		}
	}
	return l.w.putFolder(ctx, state.Folder{
		Name: m.name, UIDValidity: m.status.uidValidity, TargetUIDValidity: there.uidValidity,
		UIDNext: m.status.uidNext, HighestModSeq: m.status.modSeq, Messages: m.status.messages,
	}, note{Done: there.uidNext, Messages: there.messages, ModSeq: there.modSeq, Bodies: n.Bodies})
}

// giveUIDValidity gives the target's folder, which looks as before, the UIDVALIDITY of the source's, and returns what
// it looks like then. Dovecot's Maildir counts no messages in STATUS until the folder has been opened again.
func (l *lane) giveUIDValidity(ctx context.Context, m *mailbox, before status) (*status, error) {
	if err := l.w.adapter.setUIDValidity(ctx, l.w.targetUser, m.name, m.status.uidValidity); err != nil {
		return nil, err
	}
	if _, err := l.dst.openFolder(m.name, false); err != nil {
		return nil, err
	}
	if err := l.dst.closeFolder(); err != nil {
		return nil, err
	}
	there, err := l.dst.statusOf(m.name)
	switch {
	case err != nil:
		return nil, err
	case there == nil || there.uidValidity != m.status.uidValidity:
		return nil, holdf("target does not take the UIDVALIDITY %d for %s", m.status.uidValidity, wire.Quoted(m.name))
	case there.messages != before.messages || there.uidNext != before.uidNext:
		return nil, shifted{m.name, fmt.Sprint(before.uidNext), fmt.Sprintf("%d with another UIDVALIDITY", there.uidNext)}
	}
	return there, nil
}

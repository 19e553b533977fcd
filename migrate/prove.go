package migrate

import (
	"context"
	"fmt"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// equal is a folder that was found equal on both sides, and waits for that to be recorded.
type equal struct {
	*mailbox
	count  uint32    // messages in the target
	began  time.Time // when the work on it began
	listed digest    // of the source's listing, zero if it was not asked for all messages
}

// found notes that m is equal on both sides, with so many messages in the target. If it is just as it was recorded to be, there
// is nothing to record.
func (l *lane) found(m *mailbox, count uint32, listed digest) {
	if l.w.lists(m, listed) {
		l.w.hasPassed(m.name, l.began)
		return
	}
	l.equal = append(l.equal, equal{m, count, l.began, listed})
}

// prove records, for the folders that were found equal, that they were so when the source had their status, gives them
// the source's UIDVALIDITY at the target, and notes what the target looks like now. Folders that do not look as they
// were left are taken away, for the next round to copy them anew; changed is what that round will have to do.
func (l *lane) prove(ctx context.Context) (changed int64, err error) {
	folders := l.equal
	l.equal = nil
	if len(folders) == 0 {
		return 0, nil
	}
	if err := l.dst.closeFolder(); err != nil {
		return 0, err
	}
	there, err := l.dst.statuses(mailboxes(folders))
	if err != nil {
		return 0, err
	}
	var given []equal
	folders, err = l.keep(ctx, folders, there, &changed)
	for _, e := range folders {
		if l.w.adapter.fidelity() == state.Exact && there[e.name].uidValidity != e.status.uidValidity {
			given = append(given, e)
		}
	}
	if err == nil {
		err = l.giveUIDValidity(ctx, given, there)
	}
	if err != nil {
		return changed, err
	}
	if folders, err = l.keep(ctx, folders, there, &changed); err != nil {
		return changed, err
	}
	var proofs []state.Folder
	for _, e := range folders {
		f, n, err := l.w.folder(e.name)
		if err != nil {
			return changed, err
		}
		s := there[e.name]
		proofs = append(proofs, noted(state.Folder{
			Name: e.name, UIDValidity: e.status.uidValidity, TargetUIDValidity: s.uidValidity,
			UIDNext: e.status.uidNext, HighestModSeq: e.status.modSeq, Messages: e.status.messages,
			Skipped: f.Skipped,
		}, note{Done: s.uidNext, Messages: s.messages, ModSeq: s.modSeq, Bodies: n.Bodies, Given: n.Given, Wary: n.Wary, carried: n.carried}))
	}
	if err := l.w.putFolders(ctx, proofs...); err != nil {
		return changed, err
	}
	for _, e := range folders {
		l.w.hasPassed(e.name, e.began)
		l.w.hasListed(e.name, e.listed)
	}
	return changed, nil
}

func mailboxes(folders []equal) []*mailbox {
	list := make([]*mailbox, len(folders))
	for i, e := range folders {
		list[i] = e.mailbox
	}
	return list
}

// keep returns the folders that look as they were left. Those with another UIDNEXT are taken away.
func (l *lane) keep(ctx context.Context, folders []equal, there map[string]*status, changed *int64) (kept []equal, err error) {
	for _, e := range folders {
		_, n, err := l.w.folder(e.name)
		if err != nil {
			return nil, err
		}
		s := there[e.name]
		switch {
		case s == nil || s.uidNext != n.Done:
			if err := l.anew(ctx, e.name, shifted{e.name, fmt.Sprint(n.Done), "another UIDNEXT"}); err != nil {
				return nil, err
			}
		case s.messages == e.count:
			kept = append(kept, e)
			continue
		}
		*changed += int64(e.status.messages) + 1
	}
	return kept, nil
}

// giveUIDValidity gives the target's folders the UIDVALIDITY of the source's, and puts into there what they look like
// then. Dovecot's Maildir counts no messages in STATUS until the folder has been opened again.
func (l *lane) giveUIDValidity(ctx context.Context, folders []equal, there map[string]*status) error {
	if len(folders) == 0 {
		return nil
	}
	var about []state.Folder
	for _, e := range folders {
		f, n, err := l.w.folder(e.name)
		if err != nil {
			return err
		}
		n.Dirty, n.Given = true, true
		about = append(about, noted(f, n))
	}
	if err := l.w.putFolders(ctx, about...); err != nil {
		return err
	}
	list := mailboxes(folders)
	if err := l.w.adapter.setUIDValidity(ctx, l.dst, l.w.targetUser, list); err != nil {
		return err
	}
	if err := l.dst.touchAll(list); err != nil {
		return err
	}
	now, err := l.dst.statuses(list)
	if err != nil {
		return err
	}
	for _, e := range folders {
		s := now[e.name]
		if s != nil && s.uidValidity != e.status.uidValidity {
			return holdf("target does not take the UIDVALIDITY %d for %s; with target.adapter = \"imap\" it need not, then retry", e.status.uidValidity, wire.Quoted(e.name))
		}
		there[e.name] = s
	}
	return nil
}

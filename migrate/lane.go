package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// maxLooks bounds how often a pass over one folder looks again after it has mended something.
const maxLooks = 3

// lane is one pair of connections that brings over one folder at a time.
type lane struct {
	w        *worker
	ctx      context.Context // the lease's: connections outlive the round in which they are opened
	src, dst *client
}

func (w *worker) openLane(ctx context.Context) (*lane, error) {
	l := &lane{w: w, ctx: ctx}
	var both errgroup.Group
	both.Go(func() (err error) {
		if l.src, err = open(ctx, w.e.cfg.Source, w.user, w.secrets); err == nil {
			err = l.src.enableQresync()
		}
		return err
	})
	both.Go(func() (err error) {
		if l.dst, err = open(ctx, w.e.cfg.Target, w.user, w.secrets); authFailed(err) {
			err = holdf("the target does not let the user in: %v", err)
		}
		return err
	})
	if err := both.Wait(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lane) close() {
	for _, c := range []*client{l.src, l.dst} {
		if c != nil {
			c.close()
		}
	}
}

// sync brings one folder of the target to what the source holds, and returns how many messages it had to touch. m is as the
// survey told it. After it the folder's record says up to where the two are proven equal; only in phase copying that is left to the tail.
func (l *lane) sync(ctx context.Context, m *mailbox) (changed int64, err error) {
	for range 3 {
		changed, err = l.syncOnce(ctx, m)
		var s shifted
		if !errors.As(err, &s) {
			return changed, err
		}
		l.w.log.Warn("copying a folder anew: the target has run ahead", "folder", m.name, "err", err)
		if l.w.rec.Phase == state.Cutover { // takes longer than sessions are held
			return changed, err
		}
		if err := l.reopen(); err != nil {
			return changed, err
		}
		if err := l.reset(ctx, m.name); err != nil {
			return changed, err
		}
	}
	return changed, err
}

// reopen takes new connections: the source may be in the middle of a body, which must not be read as replies.
func (l *lane) reopen() error {
	l.close()
	fresh, err := l.w.openLane(l.ctx)
	if err == nil {
		l.src, l.dst = fresh.src, fresh.dst
	}
	return err
}

func (l *lane) syncOnce(ctx context.Context, m *mailbox) (int64, error) {
	f, n, err := l.w.folder(m.name)
	if err != nil {
		return 0, err
	}
	if f.UIDValidity != 0 && f.UIDValidity != m.status.uidValidity {
		l.w.log.Info("copying a folder anew: it is another one now", "folder", m.name, "uidvalidity", m.status.uidValidity, "before", f.UIDValidity)
		if err := l.reset(ctx, m.name); err != nil {
			return 0, err
		}
		f, n = state.Folder{Name: m.name}, note{}
	}
	if f.UIDValidity == 0 {
		if n, err = l.create(ctx, m); err != nil {
			return 0, err
		}
	}
	if l.src.qresync && !n.Dirty && f.HighestModSeq != 0 {
		changed, done, err := l.follow(ctx, m, f, n)
		if err != nil || done {
			return changed, err
		}
		if _, n, err = l.w.folder(m.name); err != nil {
			return changed, err
		}
	}
	if _, err := l.openSource(m); err != nil {
		return 0, err
	}
	if n.Done > 1 || m.status.uidNext == 1 {
		return l.pass(ctx, m, n)
	}
	changed, err := l.first(ctx, m)
	if err != nil || l.w.rec.Phase == state.Copying {
		return changed, err
	}
	if _, n, err = l.w.folder(m.name); err != nil {
		return changed, err
	}
	more, err := l.pass(ctx, m, n)
	return changed + more, err
}

// openSource opens the folder read-only (I4) and checks that it is the one of the survey.
func (l *lane) openSource(m *mailbox) (status, error) {
	s, err := l.src.openFolder(m.name, false)
	if err == nil && s.uidValidity != m.status.uidValidity {
		err = fmt.Errorf("%s was recreated at the source just now", wire.Quoted(m.name))
	}
	return s, err
}

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
	l.w.remember(state.Folder{Name: m.name, UIDValidity: m.status.uidValidity, TargetUIDValidity: there.uidValidity}, n)
	return n, nil
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

// first copies a whole folder. That the copy is equal is for the next pass to prove.
func (l *lane) first(ctx context.Context, m *mailbox) (int64, error) {
	filled, err := l.copyNew(ctx, m, 1)
	if err != nil {
		return 0, err
	}
	if err := l.dst.expunge(m.name, filled); err != nil {
		return 0, err
	}
	if err := l.dst.closeFolder(); err != nil {
		return 0, err
	}
	return int64(m.status.messages) + 1, nil
}

// pass compares the folder on both sides, mends the target, copies what is new, and looks again until nothing differs; then it records the proof.
// A folder that is written to all the time cannot be proven while its users go on; that is left to the hold.
func (l *lane) pass(ctx context.Context, m *mailbox, n note) (changed int64, err error) {
	var before difference
	for range maxLooks {
		d, added, err := l.passOnce(ctx, m, n.Done)
		if err != nil {
			return changed, err
		}
		changed += int64(d.size()) + added
		if d.empty() && added == 0 {
			return changed, l.prove(ctx, m)
		}
		for f, set := range d.flags {
			if slices.Equal(set, before.flags[f]) {
				return changed, holdf("%s uid %s: the target does not keep the flags (%s)", wire.Quoted(m.name), short(set), f)
			}
		}
		before = d
		if _, n, err = l.w.folder(m.name); err != nil {
			return changed, err
		}
		if err := l.refresh(m); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

func (l *lane) passOnce(ctx context.Context, m *mailbox, next uint32) (d difference, added int64, err error) {
	src, err := l.src.list(1, "FLAGS INTERNALDATE")
	if err != nil {
		return d, 0, err
	}
	there, err := l.dst.openFolder(m.name, true)
	if err != nil {
		return d, 0, err
	}
	f, n, err := l.w.folder(m.name)
	if err != nil {
		return d, 0, err
	}
	if !n.names(f, there) {
		return d, 0, another(m.name, there)
	}
	dst, err := l.dst.list(1, "FLAGS INTERNALDATE")
	if err != nil {
		return d, 0, err
	}
	if len(dst) > 0 && dst[len(dst)-1].uid >= next {
		return d, 0, foreign(m.name, &status{messages: uint32(len(dst))})
	}
	d = compare(src, dst, next)
	d.unlisted = src.below(m.status.uidNext) != int(m.status.messages)
	if len(d.missing) > 0 {
		return d, 0, shifted{m.name, short(d.missing), "nothing"}
	}
	if len(d.dates) > 0 {
		return d, 0, holdf("%s: the target keeps another date for uid %s", wire.Quoted(m.name), short(d.dates))
	}
	if m.status.uidNext <= next && d.empty() {
		return d, 0, nil
	}
	if err := l.w.dirty(ctx, m.name); err != nil {
		return d, 0, err
	}
	if err := l.dst.apply(m.name, d); err != nil {
		return d, 0, err
	}
	if m.status.uidNext <= next {
		return d, 0, nil
	}
	filled, err := l.copyNew(ctx, m, next)
	if err == nil {
		err = l.dst.expunge(m.name, filled)
	}
	return d, int64(m.status.uidNext - next), err
}

// refresh reads the folder's status again, for the next look. The folder is opened anew so that the session sees what others have done.
func (l *lane) refresh(m *mailbox) error {
	if err := l.src.closeFolder(); err != nil {
		return err
	}
	now, err := l.src.statusOf(m.name)
	if err != nil {
		return err
	}
	if now == nil || now.uidValidity != m.status.uidValidity {
		return fmt.Errorf("%s was deleted or recreated at the source just now", wire.Quoted(m.name))
	}
	m.status = *now
	_, err = l.openSource(m)
	return err
}

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

// giveUIDValidity gives the target's folder, which looks as before, the UIDVALIDITY of the source's, and returns what it looks like then. Dovecot's Maildir
// counts no messages in STATUS until the folder has been opened again.
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

// skip makes to the target's UIDNEXT. Dovecot's Maildir loses its UIDs when UIDNEXT is raised after UIDVALIDITY was set, so a folder that far
// is copied anew.
func (l *lane) skip(ctx context.Context, folder string, from, to uint32) error {
	if to-from <= copyGap {
		return l.dst.copyPlaceholders(folder, from, to)
	}
	if f, _, err := l.w.folder(folder); err != nil || f.TargetUIDValidity == f.UIDValidity {
		return errors.Join(err, shifted{folder, fmt.Sprint(to), "a gap too long to fill"})
	}
	return l.w.adapter.skip(ctx, l.dst, l.w.targetUser, folder, from, to)
}

// stream feeds a from the source's open folder. Where each message takes effect by itself, what will be appended is listed and recorded first.
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

// prove records that source and target were equal when the source had the status of m, gives the target its UIDVALIDITY, and notes
// what the target looks like now.
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

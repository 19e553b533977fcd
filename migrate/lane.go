package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// lane is one pair of connections that brings over one folder at a time.
type lane struct {
	w        *worker
	ctx      context.Context // the lease's: connections outlive the round in which they are opened
	src, dst *client
}

// openLane connects to both sides at once. If neither lets the user in, the source's refusal counts: the password is an
// old one, and that is no fault of the target's.
func (w *worker) openLane(ctx context.Context) (*lane, error) {
	l := &lane{w: w, ctx: ctx}
	var both sync.WaitGroup
	var srcErr, dstErr error
	both.Go(func() {
		if l.src, srcErr = open(ctx, w.e.cfg.Source, w.user, w.secrets); srcErr == nil {
			srcErr = l.src.enableQresync()
		}
	})
	both.Go(func() {
		if l.dst, dstErr = open(ctx, w.e.cfg.Target, w.user, w.secrets); authFailed(dstErr) {
			dstErr = holdf("the target does not let the user in: %v", dstErr)
		}
	})
	both.Wait()
	if err := cmp.Or(srcErr, dstErr); err != nil {
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

// sync brings one folder of the target to what the source holds, and returns how many messages it had to touch. m is
// as the survey told it. After it the folder's record says up to where the two are proven equal; only in phase
// copying that is left to the tail.
func (l *lane) sync(ctx context.Context, m *mailbox) (changed int64, err error) {
	for range 3 {
		changed, err = l.syncOnce(ctx, m)
		var s shifted
		if errors.Is(err, errVanished) {
			return changed + 1, l.leave(ctx, m.name)
		}
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

// errVanished says that a folder is not there any more, or is another one, since the survey.
var errVanished = errors.New("deleted or recreated at the source just now")

// openSource opens the folder read-only (I4) and checks that it is the one of the survey.
func (l *lane) openSource(m *mailbox) (status, error) {
	s, err := l.src.openFolder(m.name, false)
	if err == nil && s.uidValidity != m.status.uidValidity {
		err = errVanished
	}
	return s, vanished(m.name, err)
}

// vanished tells a folder that does not exist any more from one that cannot be opened.
func vanished(folder string, err error) error {
	var refused *backend.Refused
	if errors.As(err, &refused) && refused.Status == "NO" && nonexistent(refused) || errors.Is(err, errVanished) {
		return fmt.Errorf("%s: %w", wire.Quoted(folder), errVanished)
	}
	return err
}

// leave leaves a folder that vanished to the next round, whose survey knows more. Until then it is not proven.
func (l *lane) leave(ctx context.Context, folder string) error {
	f, _, err := l.w.folder(folder)
	if err != nil || f.UIDValidity == 0 {
		return err
	}
	return l.w.dirty(ctx, folder)
}

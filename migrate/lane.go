package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// lane is one pair of connections that brings over one folder at a time.
type lane struct {
	w        *worker
	ctx      context.Context // the lease's: connections outlive the round in which they are opened
	src, dst *client
	gaps     bool      // the source was seen to send less of the folder under way than it lists
	wary     uint32    // note.Wary of the folder under way, also of one that was taken away
	began    time.Time // when the work on the folder at hand began, before anything was read of it
	equal    []equal   // folders of the group under way that wait for their proof
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
			dstErr = w.unlessItPasses(fmt.Sprintf("the target does not let the user in: %v; see that the account is there and that target.login fits it, then retry", dstErr))
		}
	})
	both.Wait()
	if err := cmp.Or(srcErr, dstErr); err != nil {
		l.close()
		return nil, err
	}
	l.src.view, l.dst.view = w.srcView, w.dstView
	l.dst.guard.leased = w.leased
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
// as the survey told it. If the two were equal then, that waits in l.equal to be recorded; if not, the next round looks again.
func (l *lane) sync(ctx context.Context, m *mailbox) (changed int64, err error) {
	l.gaps, l.wary = false, 0
	for range 3 {
		changed, err = l.syncOnce(ctx, m)
		var s shifted
		if errors.Is(err, errVanished) {
			return changed + 1, l.leave(ctx, m.name)
		}
		if !errors.As(err, &s) {
			return changed, err
		}
		l.gaps = s.got == "nothing"
		if l.w.rec.Phase != state.Cutover {
			if err := l.reopen(); err != nil {
				return changed, err
			}
		}
		if err := l.anew(ctx, m.name, s); err != nil {
			return changed, err
		}
	}
	return changed, err
}

// anew takes away a folder of the target whose UIDs are not as they were due, so that it can be copied anew.
func (l *lane) anew(ctx context.Context, folder string, s shifted) error {
	l.w.log.Warn("copying a folder anew: the target gave other UIDs than were due", "folder", folder, "err", s)
	if l.w.rec.Phase == state.Cutover { // takes longer than sessions are held
		return s
	}
	return l.reset(ctx, folder)
}

// reopen takes new connections: the source may be in the middle of a body, which must not be read as replies.
func (l *lane) reopen() error {
	l.close()
	fresh, err := l.w.openLane(l.ctx)
	if err != nil {
		return err
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if l.w.cut { // meanwhile
		fresh.close()
		return errCut
	}
	fresh.src.singly = l.src.singly
	l.src, l.dst = fresh.src, fresh.dst
	return nil
}

func (l *lane) syncOnce(ctx context.Context, m *mailbox) (int64, error) {
	l.began = time.Now()
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
	l.wary = max(l.wary, n.Wary)
	if n.Astray {
		return 0, shifted{m.name, "their own", "others"}
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
	changed, same, err := l.first(ctx, m)
	if err != nil || same || l.w.rec.Phase == state.Copying {
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
	if err == nil && s.uidValidity != m.status.uidValidity || l.removedMeanwhile(m.name, err) {
		err = errVanished
	}
	return s, vanished(m.name, err)
}

// removedMeanwhile reports whether the source has refused to open folder because somebody was just deleting or renaming it:
// servers say no more than NO then.
func (l *lane) removedMeanwhile(folder string, err error) bool {
	var refused *backend.Refused
	if !errors.As(err, &refused) || refused.Status != "NO" || gone(err) {
		return false
	}
	there, err := l.src.statusOf(folder)
	return err == nil && there == nil
}

// gone reports whether a server refused a command because the folder does not exist.
func gone(err error) bool {
	var refused *backend.Refused
	return errors.As(err, &refused) && refused.Status == "NO" && nonexistent(refused)
}

// vanished tells a folder that does not exist any more from one that cannot be opened.
func vanished(folder string, err error) error {
	if gone(err) || errors.Is(err, errVanished) {
		return fmt.Errorf("%s: %w", wire.Quoted(folder), errVanished)
	}
	var refused *backend.Refused
	if errors.As(err, &refused) && refused.Status == "NO" && refusedForGood(err) {
		return stuckf("%v", err)
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

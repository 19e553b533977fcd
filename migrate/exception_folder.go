package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"imapferry/internal/wire"
	"imapferry/state"
)

// leaveUnopened records the folders that the source does not open. They stay behind with all their mail.
func (w *worker) leaveUnopened(ctx context.Context, src *account) error {
	for _, f := range w.exceptions.folders(ClassFolder) {
		if !src.has(f) {
			if err := w.mended(ctx, f, ClassFolder, itself); err != nil {
				return err
			}
		}
	}
	for _, m := range src.mailboxes {
		if m.unopened == "" {
			continue
		}
		if err := w.leaveFolder(ctx, m.name, "the source does not open it: "+m.unopened); err != nil {
			return err
		}
	}
	return nil
}

// inVain reports whether folder is not to be tried under the hold, because it was tried before in vain.
func (w *worker) inVain(folder string) bool {
	return w.rec.Phase == state.Cutover && w.staysBehind(folder)
}

// staysBehind reports whether folder could not be brought over when it was last tried.
func (w *worker) staysBehind(folder string) bool {
	return len(w.exceptions.uids(folder, ClassFolder)) > 0
}

func (w *worker) leaveFolder(ctx context.Context, folder, text string) error {
	return w.exceptFolder(ctx, ofFolder{folder, ClassFolder}, text)
}

// ofFolder is what an exception is about that concerns no single message.
type ofFolder struct{ folder, class string }

// exceptFolder records such an exception, if it is not known.
func (w *worker) exceptFolder(ctx context.Context, what ofFolder, text string) error {
	if len(w.exceptions.uids(what.folder, what.class)) > 0 {
		return nil
	}
	w.mu.Lock()
	w.refused[what] = text
	w.mu.Unlock()
	return w.except(ctx, state.Exception{Folder: what.folder, Class: what.class, Text: text})
}

// triedTwice demands that folders that stay behind, and what holds the user of others, were refused under a lease before, too: few servers
// tell by a code that a trouble of theirs goes by (RFC 5530), and one of a moment must not cost a folder. The next try asks again.
func (w *worker) triedTwice() error {
	for what, text := range w.refused {
		costs := what.class == ClassFolder || !w.e.cfg.allows(what.class)
		if costs && !w.leftOut(what.folder) && len(w.exceptions.uids(what.folder, what.class)) > 0 {
			return fmt.Errorf("%s is tried once more before it is an exception (%s): %s", wire.Quoted(what.folder), what.class, text)
		}
	}
	return nil
}

// goOnWithout lets the other folders go on when one could not be brought over: what concerns this folder alone is recorded as
// an exception, or kept for the end of the round, if it was an answer at all. Under the hold there is no time for others.
func (l *lane) goOnWithout(ctx context.Context, folder string, cause error) error {
	_, held := permanent(cause)
	answered := held || declined(cause) || errors.As(cause, new(shifted))
	if !answered || ctx.Err() != nil || l.w.rec.Phase == state.Cutover {
		return cause
	}
	if err := l.reopen(); err != nil { // the source may be in the middle of a body
		return errors.Join(cause, err)
	}
	if errors.As(cause, new(stuck)) {
		return l.w.leaveFolder(ctx, folder, cause.Error())
	}
	l.w.log.Warn("going on with other folders", "folder", wire.Quoted(folder), "err", cause)
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.failures = append(l.w.failures, cause)
	return nil
}

// tryAgain takes away, after the operator's retry, the folders with messages that the target has in another form, so that they
// are copied anew, and has those with other flags compared once more. What is allowed stays.
func (w *worker) tryAgain(ctx context.Context) error {
	if !w.fresh {
		return nil
	}
	classes := slices.DeleteFunc(append([]string{ClassDate, ClassBody}, replaced...), w.e.cfg.allows)
	folders := w.exceptions.folders(classes...)
	if len(folders) > 0 {
		if _, err := w.surveySource(ctx); err != nil {
			return err
		}
	}
	for _, f := range folders {
		if _, known := w.known()[f]; !known || w.leftOut(f) {
			continue
		}
		err := w.lanes[0].reset(ctx, f)
		if reason, held := permanent(err); held { // the exceptions stand
			w.log.Warn("messages cannot be tried again", "folder", f, "reason", reason)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if w.e.cfg.allows(ClassFlags) {
		return nil
	}
	for _, f := range w.exceptions.folders(ClassFlags) {
		if _, known := w.known()[f]; known && !w.leftOut(f) {
			if err := w.dirty(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

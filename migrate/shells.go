package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imapferry/internal/wire"
	"imapferry/state"
)

// A shell is a folder in name only: it holds others, or held some. Servers make what lies above a folder by themselves, some as
// folders that can be opened, and many keep it when the last folder below is gone. Shells that come to be in the target because the
// source has them are recorded, so that they go when the source's go; others that the target has are somebody else's (I4).

// isShell reports whether f records a shell.
func isShell(f state.Folder) bool {
	n, err := readNote(f)
	return err == nil && n.Shell
}

// shells returns the shells of the source with their separators, among them parents that it does not list.
func (w *worker) shells(src *account) map[string]byte {
	all := map[string]byte{}
	for n, m := range src.mailboxes {
		if m.unopened != "" || m.sep == 0 || w.leftOut(n) {
			continue
		}
		if !m.selectable {
			all[n] = m.sep
		}
		for i := range n {
			if n[i] == m.sep && src.mailboxes[wire.CanonicalName(n[:i])] == nil {
				all[n[:i]] = m.sep
			}
		}
	}
	maps.DeleteFunc(all, func(n string, sep byte) bool {
		return n == "" || w.leftOut(n) || slices.Contains(w.srcView.own, n+string(sep)) // the last is the namespace itself
	})
	return all
}

// announceShells records the shells that the target does not have yet, before anything is made below them.
func (w *worker) announceShells(ctx context.Context, src *account) error {
	var records []state.Folder
	known := w.known()
	for n := range w.shells(src) {
		_, there := w.atTarget[n]
		if _, ok := known[n]; !ok && !there {
			records = append(records, noted(state.Folder{Name: n}, note{Shell: true}))
		}
	}
	return w.putFolders(ctx, records...)
}

// makeShells makes the shells that have nothing below them. Servers make those that have something below by themselves. A target
// that knows no such folder goes without: there can be no mail in it.
func (w *worker) makeShells(src *account) error {
	known := w.known()
	for n, sep := range w.shells(src) {
		if _, there := w.atTarget[n]; there || !isShell(known[n]) || src.hasBelow(n, sep) {
			continue
		}
		_, err := w.lanes[0].dst.do(nil, "CREATE", name(n+string(sep)))
		if err != nil && !declined(err) {
			return fmt.Errorf("create %s in target: %w", wire.Quoted(n), err)
		}
		w.atTarget[n] = false
	}
	return nil
}

// drop takes away a target folder, all of whose contents must be ours, that the source has no more as such. What may be left of it
// is a shell.
func (l *lane) drop(ctx context.Context, folder string) error {
	left := state.Folder{Name: folder}
	err := l.clear(ctx, folder, func() (err error) {
		kept := l.remove(ctx, folder)
		if !errors.As(kept, new(undeletable)) {
			return kept
		}
		if left.TargetUIDValidity, err = l.empty(folder, kept); refusedForGood(err) {
			err = kept
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := l.w.deleteExceptions(ctx, folder); err != nil {
		return err
	}
	delete(l.w.atTarget, folder)
	return l.w.putFolders(ctx, noted(left, note{Shell: true}))
}

// empty expunges a target folder that the target has refused to delete because something is below it, as Cyrus does.
func (l *lane) empty(folder string, refusal error) (uidValidity uint32, err error) {
	listed, err := l.dst.uses()
	if err != nil || !listed.hasBelow(folder, l.w.srcView.sep) {
		return 0, cmp.Or(err, refusal)
	}
	s, err := l.dst.openFolder(folder, true)
	if err != nil {
		return 0, err
	}
	list, err := l.dst.list(1, "FLAGS")
	if err != nil {
		return 0, err
	}
	if err := l.dst.expunge(folder, uidsFrom(list, 1)); err != nil {
		return 0, err
	}
	return s.uidValidity, l.dst.closeFolder()
}

// dropShells deletes shells that were recorded and that the source has no more. The target has the folders of have.
func (w *worker) dropShells(ctx context.Context, src, have *account) error {
	var gone []string
	known := w.known()
	for n, f := range known {
		if src.mailboxes[n] == nil && isShell(f) && !src.hasBelow(n, w.srcView.sep) && !w.leftOut(n) {
			gone = append(gone, n)
		}
	}
	slices.Sort(gone)
	slices.Reverse(gone) // children before parents
	for _, n := range gone {
		if have.hasBelow(n, w.srcView.sep) {
			continue // as long as that is there
		}
		if err := w.dropShell(known[n], have.mailboxes[n]); err != nil {
			return err
		}
		if err := w.deleteFolder(ctx, n); err != nil {
			return err
		}
		delete(have.mailboxes, n)
		delete(w.atTarget, n)
	}
	return nil
}

// dropShell deletes m, which is nil if the target does not have it. One that can be opened must be the one that was emptied, or have
// never held a message.
func (w *worker) dropShell(f state.Folder, m *mailbox) error {
	dst := w.lanes[0].dst
	if m != nil && m.selectable {
		s, err := dst.statusOf(f.Name)
		if err != nil {
			return err
		}
		if s == nil || !s.unused() && (s.messages > 0 || s.uidValidity != f.TargetUIDValidity) {
			m = nil
		}
	}
	if m == nil {
		return nil
	}
	_, err := dst.do(nil, "DELETE", name(f.Name))
	if declined(err) {
		w.log.Warn("the target keeps a folder in name only that the source has no more", "folder", f.Name, "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %s in target: %w", wire.Quoted(f.Name), err)
	}
	return nil
}

func (a *account) hasBelow(folder string, sep byte) bool {
	for n := range a.mailboxes {
		if strings.HasPrefix(n, folder+string(sep)) {
			return true
		}
	}
	return false
}

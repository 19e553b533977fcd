package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imapferry/internal/wire"
	"imapferry/state"
)

// A folder that the source's user has renamed would otherwise be deleted in the target and copied anew. It is renamed
// there instead where the two can be proven to be the same: one folder is gone, one is new, they alone have that
// UIDVALIDITY, and every message of the new one is in the target's folder with its UID, date and size. What was proven
// of bodies counts no more.

// renaming is a folder that has another name in the source now, with all that lies below it.
type renaming struct {
	from, to string
	below    []renaming
}

// followRenames follows renamings of the source in the target, before folders are taken for new ones.
func (w *worker) followRenames(ctx context.Context, src *account) error {
	found := w.renamings(src)
	if len(found) == 0 {
		return nil
	}
	if err := w.unlockRenamed(); err != nil {
		return err
	}
	for _, r := range found {
		same, err := w.lanes[0].sameFolders(r, src)
		if err != nil {
			return err
		}
		if !same {
			continue
		}
		if err := w.lanes[0].rename(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// renamings pairs folders that are gone with folders that are new, each with all that was below it.
func (w *worker) renamings(src *account) (roots []renaming) {
	known := w.known()
	gone, fresh := map[uint32]string{}, map[uint32]string{}
	for n, f := range known {
		if !src.has(n) && n != wire.Inbox && f.UIDValidity != 0 && !w.leftOut(n) {
			only(gone, f.UIDValidity, n)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	for n, m := range src.mailboxes {
		if _, ok := known[n]; !ok && m.selectable && n != wire.Inbox && !w.begun(n) {
			only(fresh, m.status.uidValidity, n)
		}
	}
	to := map[string]string{}
	for v, n := range gone {
		if n != "" && fresh[v] != "" && src.mailboxes[fresh[v]].status.uidNext >= known[n].UIDNext {
			to[n] = fresh[v]
		}
	}
	for _, n := range slices.Sorted(maps.Keys(to)) { // parents before children
		r := renaming{from: n, to: to[n]}
		if to[n] != "" && r.take(to, known, src.mailboxes[to[n]].sep, w.dstView.there) {
			roots = append(roots, r)
		}
	}
	return roots
}

// only notes that v belongs to n, or to nobody if it belongs to others as well.
func only(m map[uint32]string, v uint32, n string) {
	if _, twice := m[v]; twice {
		n = ""
	}
	m[v] = n
}

// take adds all that was below r.from, and reports whether it is now below r.to in the same way, as far as the target
// has it, by the names that there gives too: a folder may have an escaped one. What is taken is not looked at again.
func (r *renaming) take(to map[string]string, known map[string]state.Folder, sep byte, there func(string) string) bool {
	prefix := r.from + string(sep)
	for n, f := range known {
		if sep == 0 || !strings.HasPrefix(n, prefix) || isShell(f) {
			continue
		}
		rest, below := strings.CutPrefix(there(n), there(r.from))
		if to[n] != r.to+n[len(r.from):] || !below || there(to[n]) != there(r.to)+rest {
			return false
		}
		r.below = append(r.below, renaming{from: n, to: to[n]})
	}
	for _, b := range r.below {
		to[b.from] = ""
	}
	return true
}

// sameFolders reports whether r's folders can be proven to be the same as before, none of them without a message.
func (l *lane) sameFolders(r renaming, src *account) (bool, error) {
	for _, one := range append([]renaming{r}, r.below...) {
		same, err := l.sameFolder(one, src.mailboxes[one.to])
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (l *lane) sameFolder(r renaming, m *mailbox) (bool, error) {
	f, n, err := l.w.folder(r.from)
	if err != nil || len(n.Intent) > 0 || n.Astray {
		return false, err
	}
	there, err := l.dst.openFolder(r.from, false)
	if err != nil {
		return false, err
	}
	if !n.names(f, there) {
		return false, another(r.from, there)
	}
	if _, err := l.openSource(m); errors.Is(err, errVanished) || errors.As(err, new(stuck)) {
		return false, l.dst.closeFolder()
	} else if err != nil {
		return false, err
	}
	const items = "INTERNALDATE RFC822.SIZE"
	now, err := l.src.list(1, items)
	if err != nil {
		return false, err
	}
	copied, err := l.dst.list(1, items)
	if err != nil {
		return false, err
	}
	if err := l.src.closeFolder(); err != nil {
		return false, err
	}
	return allIn(now, copied, n.Done), l.dst.closeFolder()
}

// allIn reports whether all messages of now with UIDs below next, and there are some, are in copied with the same date
// and size.
func allIn(now, copied listing, next uint32) bool {
	now = now[:now.below(next)]
	for i := range now {
		c := copied.find(now[i].uid)
		if c == nil || !c.date.Equal(now[i].date) || c.size != now[i].size {
			return false
		}
	}
	return len(now) > 0
}

// rename gives the target's folder its new name, and what lies below it with it. Both names are recorded before, as
// about to be deleted, so that after a crash the one that is not there is forgotten.
func (l *lane) rename(ctx context.Context, r renaming) error {
	all := append([]renaming{r}, r.below...)
	for _, one := range all {
		f, n, err := l.w.folder(one.from)
		if err != nil {
			return err
		}
		n.Dirty, n.Drop, n.Bodies = true, true, 0
		if err := l.w.putFolder(ctx, f, n); err != nil {
			return err
		}
		f.Name = one.to
		if err := l.w.putFolder(ctx, f, n); err != nil {
			return err
		}
	}
	_, err := l.dst.do(nil, "RENAME", name(r.from), name(r.to))
	refused := refusedForGood(err) // then it is deleted and copied anew
	if err != nil && !refused {
		return fmt.Errorf("rename %s to %s in target: %w", wire.Quoted(r.from), wire.Quoted(r.to), err)
	}
	if refused {
		there, err := l.dst.statusOf(r.from)
		if err != nil {
			return err
		}
		refused = there != nil // some fail behind the act
	}
	for _, one := range all {
		forget := one.from
		if refused {
			forget = one.to
		} else if err := l.renamed(ctx, one.to); err != nil {
			return err
		}
		if err := l.w.deleteFolder(ctx, forget); err != nil {
			return err
		}
	}
	l.w.log.Info("renamed in the source", "from", r.from, "to", r.to, "below", len(r.below), "err", err)
	return nil
}

// renamed takes note of a folder that has just got its name in the target: some servers, such as Cyrus, give it another
// UIDVALIDITY with it.
func (l *lane) renamed(ctx context.Context, folder string) error {
	f, n, err := l.w.folder(folder)
	if err != nil {
		return err
	}
	s, err := l.dst.statusOf(folder)
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("target folder %s, which was renamed just now, is gone", wire.Quoted(folder))
	}
	if n.names(f, *s) {
		return nil
	}
	f.TargetUIDValidity, n.Given = s.uidValidity, false
	return l.w.putFolder(ctx, f, n)
}

package migrate

import (
	"fmt"
	"slices"
	"strings"

	"imapferry/internal/wire"
)

// apply makes the target's folder, open for writing, equal as far as that can be done. Flags that the target refuses are
// remembered as lost.
func (l *lane) apply(folder string, d difference) error {
	if err := l.dst.expunge(folder, d.extra); err != nil {
		return err
	}
	sets := make([]flags, 0, len(d.flags))
	for f := range d.flags {
		sets = append(sets, f)
	}
	slices.Sort(sets)
	for _, f := range sets {
		for _, part := range d.flags[f].Split(maxSetText) {
			err := l.dst.store(folder, part, "FLAGS.SILENT", f)
			if refusedForGood(err) {
				err = l.applyApart(folder, part, f)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// applyApart finds out which of f the target refuses, and sets the others.
func (l *lane) applyApart(folder string, uids wire.Set, f flags) error {
	var lost []string
	for _, one := range strings.Fields(string(f)) {
		err := l.dst.store(folder, uids, "+FLAGS.SILENT", flags(one))
		if err != nil && !refusedForGood(err) {
			return err
		}
		if err != nil {
			l.w.log.Warn("flag refused", "folder", folder, "flag", one, "err", err)
			lost = append(lost, one)
		}
	}
	l.w.lose(folder, flags(strings.Join(lost, " ")))
	kept := f.without(l.w.lostFlags(folder))
	if kept == f {
		return nil // each alone was taken
	}
	return l.dst.store(folder, uids, "FLAGS.SILENT", kept)
}

func (c *client) store(folder string, uids wire.Set, item string, f flags) error {
	if _, err := c.do(nil, "UID STORE", uids.String(), item+" ("+string(f)+")"); err != nil {
		return fmt.Errorf("set flags (%s) of uid %s in %s: %w", f, short(uids), wire.Quoted(folder), err)
	}
	return nil
}

// without returns the flags of f that are not in lost.
func (f flags) without(lost flags) flags {
	if lost == "" {
		return f
	}
	gone := lost.folded()
	words := strings.Fields(string(f))
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(gone, strings.ToLower(w)) })
	return flags(strings.Join(words, " "))
}

// lostFlags returns what the target was seen not to keep in folder.
func (w *worker) lostFlags(folder string) flags {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost[folder]
}

func (w *worker) lose(folder string, f flags) {
	if f == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost == nil {
		w.lost = map[string]flags{}
	}
	words := strings.Fields(string(w.lost[folder]) + " " + string(f))
	slices.Sort(words)
	w.lost[folder] = flags(strings.Join(slices.Compact(words), " "))
}

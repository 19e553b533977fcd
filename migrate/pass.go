package migrate

import (
	"context"
	"fmt"
	"slices"

	"imapferry/internal/wire"
)

// maxLooks bounds how often a pass over one folder looks again after it has mended something.
const maxLooks = 3

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

// pass compares the folder on both sides, mends the target, copies what is new, and looks again until nothing
// differs; then it records the proof. A folder that is written to all the time cannot be proven while its users go
// on; that is left to the hold.
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

// refresh reads the folder's status again, for the next look. The folder is opened anew so that the session sees what
// others have done.
func (l *lane) refresh(m *mailbox) error {
	if err := l.src.closeFolder(); err != nil {
		return err
	}
	now, err := l.src.statusOf(m.name)
	if err != nil {
		return err
	}
	if now == nil || now.uidValidity != m.status.uidValidity {
		return fmt.Errorf("%s: %w", wire.Quoted(m.name), errVanished)
	}
	m.status = *now
	_, err = l.openSource(m)
	return err
}

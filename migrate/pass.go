package migrate

import (
	"context"
	"fmt"

	"imapferry/internal/wire"
)

// maxLooks bounds how often a pass over one folder looks again after it has mended something.
const maxLooks = 3

// first copies a whole folder, and reports whether the copy has the UIDs, flags and dates that the source has sent with the
// bodies. If not, that is for the next pass to mend.
func (l *lane) first(ctx context.Context, m *mailbox) (changed int64, same bool, err error) {
	filled, sent, err := l.copyNew(ctx, m, 1)
	if err != nil {
		return 0, false, err
	}
	if _, err := l.dst.openFolder(m.name, true); err != nil {
		return 0, false, err
	}
	if err := l.dst.expunge(m.name, filled); err != nil {
		return 0, false, err
	}
	there, err := l.dst.list(1, "FLAGS INTERNALDATE")
	if err != nil {
		return 0, false, err
	}
	d := compare(sent, there, m.status.uidNext)
	d.unlisted = len(sent) != int(m.status.messages)
	if same = d.empty(); same {
		l.found(m, uint32(len(there)), digest{})
	}
	return int64(m.status.messages) + 1, same, nil
}

// pass compares the folder on both sides, mends the target, copies what is new, and looks again until nothing
// differs; then it records the proof. A folder that is written to all the time cannot be proven while its users go
// on; that is left to the hold.
func (l *lane) pass(ctx context.Context, m *mailbox, n note) (changed int64, err error) {
	var before difference
	for range maxLooks {
		d, added, err := l.passOnce(ctx, m, n.Done, &before)
		if err != nil {
			return changed, err
		}
		changed += int64(d.size()) + added
		if d.empty() && added == 0 {
			l.found(m, m.status.messages, d.listed)
			return changed, nil
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

func (l *lane) passOnce(ctx context.Context, m *mailbox, next uint32, before *difference) (d difference, added int64, err error) {
	src, err := l.src.list(1, "FLAGS INTERNALDATE")
	if err != nil {
		return d, 0, err
	}
	listed := src.digest()
	if l.w.lists(m, listed) {
		return difference{listed: listed}, 0, nil
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
	d.listed = listed
	x := l.excuse(m.name, &d, before, src, dst)
	d.unlisted = src.below(m.status.uidNext) != int(m.status.messages)
	if len(d.missing) > 0 {
		return d, 0, shifted{m.name, short(d.missing), "nothing"}
	}
	if m.status.uidNext <= next && d.empty() {
		return d, 0, l.record(ctx, m.name, x, func(uint32) bool { return true }, func(uid uint32) bool { return src.find(uid) == nil })
	}
	if err := l.w.dirty(ctx, m.name); err != nil {
		return d, 0, err
	}
	if err := l.apply(m.name, d); err != nil {
		return d, 0, err
	}
	if m.status.uidNext <= next {
		return d, 0, nil
	}
	filled, _, err := l.copyNew(ctx, m, next)
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

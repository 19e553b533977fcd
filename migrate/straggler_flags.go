package migrate

import (
	"errors"
	"fmt"
	"slices"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// followFlags brings over flags that somebody has changed in the source since the switch, where nobody has changed
// those of the target. Only mod-sequences on both sides can tell that. Messages that are gone from the source stay in
// the target (I1).
func (p *straggling) followFlags(m *mailbox, f state.Folder, n note, t *late) error {
	if t.UIDValidity != f.UIDValidity || t.ModSeq == 0 || t.ModSeq == m.status.modSeq {
		return nil
	}
	changed, gone, err := p.changedSince(m, f, t.ModSeq)
	if err != nil {
		return err
	}
	target, err := p.targetFolders()
	if err != nil {
		return err
	}
	there := target.mailboxes[m.name]
	if len(changed)+len(gone) > 0 && there != nil && there.selectable && n.names(f, there.status) {
		if err := p.applyFlags(m, n.ModSeq, changed, gone); err != nil {
			return err
		}
	}
	t.ModSeq = m.status.modSeq
	return p.put(m.name, t)
}

// changedSince asks the source which messages of the switch have been changed or expunged since.
func (p *straggling) changedSince(m *mailbox, f state.Folder, modSeq uint64) (changed listing, gone wire.Set, err error) {
	if p.src.qresync {
		d, err := p.src.since(m.name, f.UIDValidity, modSeq)
		if err = vanished(m.name, err); err == nil && d.uidValidity != f.UIDValidity {
			err = errVanished
		}
		if err != nil {
			return nil, nil, err
		}
		changed, gone = d.changed, d.below(f.UIDNext)
	} else {
		if _, err := p.openSource(m); err != nil {
			return nil, nil, err
		}
		_, err := p.src.do(func(r response) error {
			var m message
			if r.word != "FETCH" {
				return nil
			}
			err := parseFetch(r.d, &m, nil)
			changed = append(changed, m)
			return err
		}, "UID FETCH 1:* (UID FLAGS)", fmt.Sprintf("(CHANGEDSINCE %d)", modSeq))
		if err != nil {
			return nil, nil, fmt.Errorf("ask source for changed flags: %w", err)
		}
	}
	changed = slices.DeleteFunc(changed, func(m message) bool { return m.uid == 0 || m.uid >= f.UIDNext })
	return changed, gone, p.src.closeFolder()
}

// applyFlags sets the flags of changed in the target, where they have not been touched since modSeq, and tells of the rest.
func (p *straggling) applyFlags(m *mailbox, modSeq uint64, changed listing, gone wire.Set) error {
	if _, err := p.dst.openFolder(m.name, true); err != nil {
		return err
	}
	inTarget, err := p.dst.listSet(gone, "FLAGS")
	if err != nil {
		return err
	}
	if len(inTarget) > 0 {
		p.w.log.Info("removed from the source after the switch; the target keeps them", "folder", m.name, "uids", short(uidsFrom(inTarget, 1)))
	}
	have, err := p.dst.listSet(uidsFrom(changed, 1), "FLAGS")
	if err != nil {
		return err
	}
	wanted := difference{flags: map[flags]wire.Set{}}
	for i := range changed {
		if now := have.find(changed[i].uid); now != nil && !now.flags.same(changed[i].flags) {
			wanted.flag(changed[i].flags, now.uid)
		}
	}
	kept := wanted.flagged()
	if modSeq != 0 {
		if kept, err = p.dst.storeUnchanged(m.name, wanted, modSeq); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		p.w.log.Info("flags changed in the source after the switch; the target keeps its own", "folder", m.name, "uids", short(kept))
	}
	return p.dst.closeFolder()
}

// storeUnchanged sets flags in the open folder on messages that nobody has changed since modSeq (RFC 7162, section
// 3.1.3), and returns the others.
func (c *client) storeUnchanged(folder string, d difference, modSeq uint64) (kept wire.Set, err error) {
	for f, set := range d.flags {
		for _, part := range set.Split(maxSetText) {
			res, err := c.do(nil, "UID STORE", part.String(), fmt.Sprintf("(UNCHANGEDSINCE %d) FLAGS.SILENT (%s)", modSeq, f))
			code := res.code
			var refused *backend.Refused
			if errors.As(err, &refused) && refused.Status == "NO" {
				code, err = refused.Code, nil
				if _, modified := argument(code, "MODIFIED"); !modified {
					kept.AddSet(part)
				}
			}
			if err != nil {
				return nil, fmt.Errorf("set flags in %s: %w", wire.Quoted(folder), err)
			}
			if arg, modified := argument(code, "MODIFIED"); modified {
				others, err := wire.ParseSet(arg)
				if err != nil {
					return nil, fmt.Errorf("read MODIFIED of %s: %w", wire.Quoted(folder), err)
				}
				kept.AddSet(others)
			}
		}
	}
	return kept, nil
}

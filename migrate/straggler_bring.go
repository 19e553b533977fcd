package migrate

import (
	"errors"
	"fmt"
	"slices"

	"imapferry/internal/wire"
)

// maxBatch bounds what is on its way at once, and with it the commands by which it is looked for in the target.
const maxBatch = 50

// bring brings over the messages of a folder of the source that are not done, in batches: first the one that was on
// its way when a former pass ended.
func (p *straggling) bring(m *mailbox, t *late) error {
	if _, err := p.openSource(m); err != nil {
		return err
	}
	fresh, err := p.src.list(t.UIDNext, "FLAGS")
	if err != nil {
		return err
	}
	again, err := p.src.listSet(t.Left, "FLAGS")
	if err != nil {
		return err
	}
	if gone := minus(t.Left, uidsFrom(again, 1)); len(gone) > 0 {
		t.Left = minus(t.Left, gone)
		err := p.w.mended(p.ctx, m.name, ClassStraggler, gone)
		if err = errors.Join(err, p.put(m.name, t)); err != nil {
			return err
		}
	}
	var batches []listing
	if t.Trying != nil {
		if err := p.awaitAttempt(t.Trying); err != nil {
			return err
		}
		var begun listing
		for _, l := range []*listing{&again, &fresh} {
			*l = slices.DeleteFunc(*l, func(m message) bool {
				ours := t.Trying.UIDs.Contains(m.uid)
				if ours {
					begun = append(begun, m)
				}
				return ours
			})
		}
		batches = append(batches, begun)
	}
	batches = slices.AppendSeq(batches, slices.Chunk(again, maxBatch))
	batches = slices.AppendSeq(batches, slices.Chunk(fresh, maxBatch))
	for _, b := range batches {
		if err := p.batch(m, t, b); err != nil {
			return err
		}
	}
	return p.src.closeFolder()
}

// awaitAttempt gives a dead worker's last message the time to arrive.
func (p *straggling) awaitAttempt(a *attempt) error {
	folder := string(a.Folder)
	there, err := p.dst.statusOf(folder)
	if err != nil || there == nil {
		return err
	}
	p.target = nil // it may show more now
	_, err = p.w.settle(p.ctx, p.lane, folder, note{Done: a.UIDNext + uint32(a.UIDs.Len())})
	return err
}

// batch brings over some messages of the open folder of the source, and records that.
func (p *straggling) batch(m *mailbox, t *late, some listing) error {
	all, bad, err := p.identify(m, some)
	if err != nil {
		return err
	}
	there, unsure, err := p.already(m, t, all)
	if err != nil {
		return err
	}
	var missing []straggler
	var begun, found wire.Set
	for _, s := range all {
		switch folder, ok := there[s.uid]; {
		case unsure[s.uid] != nil:
			bad[s.uid] = unsure[s.uid] // it is not sent: the target may have it
		case !ok:
			missing = append(missing, s)
		case t.Left.Contains(s.uid) || t.Trying != nil && t.Trying.UIDs.Contains(s.uid):
			begun.Add(s.uid)
		default:
			found.Add(s.uid)
			p.w.log.Info("straggler is in the target already", "folder", m.name, "uid", s.uid, "in", folder)
		}
	}
	t.Trying, t.Brought = nil, t.Brought+int64(begun.Len())
	var left wire.Set
	if len(missing) > 0 {
		if left, err = p.append(m, t, missing); err != nil {
			return err
		}
	}
	for uid, reason := range bad {
		left.Add(uid)
		if err := p.leave(m, straggler{uid: uid}, reason); err != nil {
			return err
		}
	}
	uids := uidsFrom(some, 1)
	if err := p.w.mended(p.ctx, m.name, ClassStraggler, minus(uids, left)); err != nil {
		return err
	}
	t.done(uids, left)
	if len(t.Left) > maxLeft {
		return fmt.Errorf("over %d stragglers cannot be brought over, see the log", maxLeft)
	}
	return p.put(m.name, t)
}

// done notes that of the messages uids those of left have to wait, and the others are done.
func (t *late) done(uids, left wire.Set) {
	for uid := range t.Left.All() {
		if !uids.Contains(uid) {
			left.Add(uid)
		}
	}
	t.Left = left
	if len(uids) > 0 {
		t.UIDNext = max(t.UIDNext, uids.Max()+1)
	}
}

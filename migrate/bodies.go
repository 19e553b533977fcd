package migrate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"

	"imapferry/internal/wire"
	"imapferry/state"
)

// How many bodies a sample takes. It is to show that bodies arrive at all and whole, not to find the one bad message;
// "all" is for that.
const (
	sampleMessages = 5
	sampleFolders  = 100
)

// digest tells whether two messages have the same bytes.
type digest = [sha256.Size]byte

// proveBodies compares the bodies of messages that came since the last proof, all or a sample, by digest. It returns
// errVanished if a folder of the source is not the one that was copied any more; then it takes another round first.
func (w *worker) proveBodies(ctx context.Context) error {
	if w.e.cfg.VerifyBodies == VerifyNone {
		return nil
	}
	l, folders := w.lanes[0], 0
	for _, f := range w.known() {
		n, err := readNote(f)
		if err != nil {
			return err
		}
		if n.Bodies >= n.Done || w.leftOut(f.Name) || w.staysBehind(f.Name) || w.e.cfg.VerifyBodies == VerifySample && folders >= sampleFolders {
			continue
		}
		if f.Messages > 0 {
			folders++
			if err := l.proveBodies(ctx, f, n, w.e.cfg.VerifyBodies == VerifyAll); err != nil {
				return err
			}
		}
		n.Bodies = n.Done
		if err := w.putNote(ctx, f.Name, n); err != nil {
			return err
		}
	}
	return nil
}

// proveBodies compares the bodies of the messages of a folder that are not proven and were copied.
func (l *lane) proveBodies(ctx context.Context, f state.Folder, n note, all bool) error {
	folder := f.Name
	s, err := l.src.openFolder(folder, false)
	if err == nil && s.uidValidity != f.UIDValidity || gone(err) {
		return fmt.Errorf("%s: %w", wire.Quoted(folder), errVanished)
	}
	if err != nil {
		return err
	}
	if _, err := l.dst.openFolder(folder, false); err != nil {
		return err
	}
	list, err := l.src.list(max(n.Bodies, 1), "FLAGS")
	if err != nil {
		return err
	}
	var uids wire.Set
	known := l.w.exceptions.uids(folder, append([]string{ClassBody}, replaced...)...)
	for _, m := range pick(list, n.Done, all) {
		if !known.Contains(m.uid) {
			uids.Add(m.uid)
		}
	}
	for _, part := range uids.Split(maxSetText) {
		if err := l.compareBodies(ctx, folder, part); err != nil {
			return err
		}
	}
	if err := l.src.closeFolder(); err != nil {
		return err
	}
	return l.dst.closeFolder()
}

// pick chooses messages with UIDs below to: all, or a few that are spread evenly and include the newest.
func pick(list listing, to uint32, all bool) listing {
	for len(list) > 0 && list[len(list)-1].uid >= to {
		list = list[:len(list)-1]
	}
	if all || len(list) <= sampleMessages {
		return list
	}
	out := make(listing, 0, sampleMessages)
	for i := 1; i <= sampleMessages; i++ {
		out = append(out, list[len(list)*i/sampleMessages-1])
	}
	return out
}

// compareBodies reads the same messages from both sides. A message that the source has no more is not there to be compared.
func (l *lane) compareBodies(ctx context.Context, folder string, uids wire.Set) error {
	src, err := l.src.digests(uids)
	if notGiven(err, uids) && ctx.Err() == nil {
		src, err = l.readable(ctx, folder, uids)
	}
	if err != nil {
		return err
	}
	dst, err := l.dst.digests(uids)
	if err != nil {
		return err
	}
	var differ []state.Exception
	for uid, sum := range src {
		got, ok := dst[uid]
		if !ok {
			return fmt.Errorf("%s uid %d is not in the target", wire.Quoted(folder), uid)
		}
		if got != sum {
			differ = append(differ, state.Exception{Folder: folder, UID: uid, Class: ClassBody, Text: "the target's message differs from the source's"})
		}
	}
	return l.except(ctx, differ)
}

// readable reads the bodies of uids in the source's folder one by one. Those that it gave when they were copied and does not
// give now are exceptions: nothing can be said of them.
func (l *lane) readable(ctx context.Context, folder string, uids wire.Set) (map[uint32]digest, error) {
	sums := map[uint32]digest{}
	if err := l.openAgain(folder); err != nil {
		return nil, err
	}
	for uid := range uids.All() {
		this := wire.Set{{From: uid, To: uid}}
		one, err := l.src.digests(this)
		maps.Copy(sums, one)
		if err == nil {
			continue
		}
		if !notGiven(err, this) || ctx.Err() != nil {
			return nil, err
		}
		if err := l.cannotCompare(ctx, folder, uid, err); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

// cannotCompare records that the source does not give a message of folder any more, unless it gives no others either just now, which may pass.
func (l *lane) cannotCompare(ctx context.Context, folder string, uid uint32, cause error) error {
	if err := l.openAgain(folder); err != nil {
		return err
	}
	if err := l.blame(folder, uid, cause); err != nil {
		return err
	}
	e := state.Exception{Folder: folder, UID: uid, Class: ClassBody, Text: "cannot be compared: " + cause.Error()}
	return errors.Join(l.w.except(ctx, e), l.openAgain(folder))
}

// openAgain opens the folder on both sides, read-only, over new connections.
func (l *lane) openAgain(folder string) error {
	err := l.reopen()
	for _, c := range []*client{l.src, l.dst} {
		if err == nil {
			_, err = c.openFolder(folder, false)
		}
	}
	return err
}

// notGiven reports whether err, of reading the bodies of uids, is about one of them.
func notGiven(err error, uids wire.Set) bool {
	if err == nil {
		return false
	}
	_, ok := aboutMessage(notRead(0, uids.Max(), err))
	return ok
}

// notLeftOut demands that a server has given all messages of uids that its open folder lists. One that it lists and passes over is not gone.
func notLeftOut[T any](c *client, uids wire.Set, given map[uint32]T) error {
	var missing wire.Set
	for uid := range uids.All() {
		if _, ok := given[uid]; !ok {
			missing.Add(uid)
		}
	}
	there, err := c.listSet(missing, "FLAGS")
	if err != nil || len(there) == 0 {
		return err
	}
	return passedOver(c.side, c.selected, there[0].uid)
}

// sameButLineEnds returns those of uids that the source's folder has too, with the same bytes but for CRs.
func (l *lane) sameButLineEnds(folder string, uids wire.Set) (same wire.Set, err error) {
	f, _, err := l.w.folder(folder)
	if err != nil {
		return nil, err
	}
	s, err := l.src.openFolder(folder, false)
	if declined(err) || err == nil && s.uidValidity != f.UIDValidity {
		return nil, l.src.closeFolder()
	}
	for _, part := range uids.Split(maxSetText) {
		var sums [2]map[uint32]digest
		for i, c := range []*client{l.src, l.dst} {
			if err == nil {
				sums[i], err = c.digestsBy(part, func(h hash.Hash) io.Writer { return withoutCR{h} })
			}
		}
		if err != nil {
			return nil, err
		}
		for uid, sum := range sums[1] {
			if src, ok := sums[0][uid]; ok && src == sum {
				same.Add(uid)
			}
		}
	}
	return same, l.src.closeFolder()
}

// withoutCR leaves out CRs.
type withoutCR struct{ to io.Writer }

func (w withoutCR) Write(p []byte) (n int, err error) {
	for part := range bytes.SplitSeq(p, []byte("\r")) {
		if _, err := w.to.Write(part); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// digests reads the bodies of uids in the open folder, but for those that are gone.
func (c *client) digests(uids wire.Set) (map[uint32]digest, error) {
	sums, err := c.digestsBy(uids, func(h hash.Hash) io.Writer { return h })
	if err == nil {
		err = notLeftOut(c, uids, sums)
	}
	return sums, err
}

// digestsBy is digests of what is written into the hash through by.
func (c *client) digestsBy(uids wire.Set, by func(hash.Hash) io.Writer) (map[uint32]digest, error) {
	out := map[uint32]digest{}
	_, err := c.do(func(r response) error {
		if r.word != "FETCH" {
			return nil
		}
		var m message
		var sum digest
		err := parseFetch(r.d, &m, func(d *wire.Decoder) error {
			return c.body(d, &m, func(_ *message, _ int64, body io.Reader) error {
				h := sha256.New()
				if _, err := io.Copy(by(h), body); err != nil {
					return err
				}
				h.Sum(sum[:0])
				return nil
			})
		})
		if err == nil && m.body {
			out[m.uid] = sum
		}
		return err
	}, "UID FETCH", uids.String(), "(UID BODY.PEEK[])")
	if err != nil {
		return nil, fmt.Errorf("read bodies of %s in %s: %w", wire.Quoted(c.selected), c.side, err)
	}
	return out, nil
}

// digestsOf is digests for many messages.
func (c *client) digestsOf(uids wire.Set) (map[uint32]digest, error) {
	all := map[uint32]digest{}
	for _, part := range uids.Split(maxSetText) {
		some, err := c.digests(part)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, some)
	}
	return all, nil
}

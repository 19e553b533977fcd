package migrate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"imapferry/internal/wire"
)

// How many bodies a sample takes. It is to show that bodies arrive at all and whole, not to find the one bad message;
// "all" is for that.
const (
	sampleMessages = 5
	sampleFolders  = 100
)

// proveBodies compares the bodies of messages that came since the last proof, all or a sample, by digest.
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
		if n.Bodies >= n.Done || w.e.cfg.VerifyBodies == VerifySample && folders >= sampleFolders {
			continue
		}
		if f.Messages > 0 {
			folders++
			if err := l.proveBodies(f.Name, n.Bodies, n.Done, w.e.cfg.VerifyBodies == VerifyAll); err != nil {
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

// proveBodies compares the bodies of the messages of folder with UIDs from from and below to.
func (l *lane) proveBodies(folder string, from, to uint32, all bool) error {
	for _, c := range []*client{l.src, l.dst} {
		if _, err := c.openFolder(folder, false); err != nil {
			return err
		}
	}
	list, err := l.src.list(max(from, 1), "FLAGS")
	if err != nil {
		return err
	}
	var uids wire.Set
	for _, m := range pick(list, to, all) {
		uids.Add(m.uid)
	}
	for _, part := range uids.Split(maxSetText) {
		if err := l.compareBodies(folder, part); err != nil {
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
func (l *lane) compareBodies(folder string, uids wire.Set) error {
	src, err := l.src.digests(uids)
	if err != nil {
		return err
	}
	dst, err := l.dst.digests(uids)
	if err != nil {
		return err
	}
	for uid, sum := range src {
		got, ok := dst[uid]
		if !ok {
			return fmt.Errorf("%s uid %d is not in the target", wire.Quoted(folder), uid)
		}
		if got != sum {
			return holdf("%s uid %d: the target's message differs from the source's", wire.Quoted(folder), uid)
		}
	}
	return nil
}

// digests reads the bodies of uids in the open folder.
func (c *client) digests(uids wire.Set) (map[uint32][sha256.Size]byte, error) {
	out := map[uint32][sha256.Size]byte{}
	_, err := c.do(func(r response) error {
		if r.word != "FETCH" {
			return nil
		}
		var m message
		var sum [sha256.Size]byte
		err := parseFetch(r.d, &m, func(d *wire.Decoder) error {
			return c.body(d, &m, func(_ *message, _ int64, body io.Reader) error {
				h := sha256.New()
				if _, err := io.Copy(h, body); err != nil {
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

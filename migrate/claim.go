package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"imapferry/internal/wire"
)

// fingerprintMessages is how many of the oldest messages of INBOX identify a mailbox.
const fingerprintMessages = 3

// claim binds the INBOX to the user's name: the same mailbox under a second name would be moved twice, and its
// sessions would be on both sides (I3).
func (w *worker) claim(ctx context.Context, src *client) error {
	tokens, err := src.fingerprint()
	if err != nil {
		return fmt.Errorf("read fingerprint of INBOX: %w", err)
	}
	other, err := w.e.cfg.Store.Claim(ctx, w.user, tokens)
	if err == nil && other != "" && !w.e.cfg.allows(ClassSameMailbox) {
		return holdf("same mailbox as %s; make one name an alias of the other (users.aliases), or allow it by migrate.allow = [%q], then retry", other, ClassSameMailbox)
	}
	return err
}

// fingerprint identifies the mailbox by its oldest messages: UIDVALIDITY, UID, date, size and header. The header tells
// apart accounts that were made in one second and got a welcome of the same length. A message that is being removed has none.
func (c *client) fingerprint() (tokens []string, err error) {
	s, err := c.openFolder(wire.Inbox, false)
	if err != nil || s.messages == 0 {
		return nil, errors.Join(err, c.closeFolder())
	}
	_, err = c.do(func(r response) error {
		if r.word != "FETCH" {
			return nil
		}
		m, sum := message{}, sha256.New()
		err := parseFetch(r.d, &m, func(d *wire.Decoder) error {
			return c.body(d, &m, func(_ *message, _ int64, header io.Reader) error {
				_, err := io.Copy(sum, header)
				return err
			})
		})
		if errors.As(err, new(unread)) {
			err = r.d.Err()
		}
		if err != nil || !m.body {
			return err
		}
		fmt.Fprintf(sum, "%d %d %d %d", s.uidValidity, m.uid, m.date.Unix(), m.size)
		tokens = append(tokens, hex.EncodeToString(sum.Sum(nil)[:16]))
		return nil
	}, "FETCH", fmt.Sprintf("1:%d", min(s.messages, fingerprintMessages)), "(UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER])")
	if err != nil {
		return nil, err
	}
	return tokens, c.closeFolder()
}

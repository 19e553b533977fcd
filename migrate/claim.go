package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"imapferry/internal/wire"
)

// fingerprintMessages is how many of the oldest messages of INBOX identify a mailbox.
const fingerprintMessages = 3

// claim binds the INBOX to the user's name: the same mailbox under a second name would be moved twice, and its sessions would be on both sides (I3).
func (w *worker) claim(ctx context.Context, src *client) error {
	s, err := src.openFolder(wire.Inbox, false)
	if err != nil {
		return err
	}
	var tokens []string
	if s.messages > 0 {
		_, err = src.do(func(r response) error {
			var m message
			if r.word != "FETCH" {
				return nil
			}
			if err := parseFetch(r.d, &m, nil); err != nil {
				return err
			}
			sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d %d", s.uidValidity, m.uid, m.date.Unix(), m.size))
			tokens = append(tokens, hex.EncodeToString(sum[:16]))
			return nil
		}, "FETCH", fmt.Sprintf("1:%d", min(s.messages, fingerprintMessages)), "(UID INTERNALDATE RFC822.SIZE)")
		if err != nil {
			return fmt.Errorf("read fingerprint of INBOX: %w", err)
		}
	}
	if err := src.closeFolder(); err != nil {
		return err
	}
	other, err := w.e.cfg.Store.Claim(ctx, w.user, tokens)
	if err == nil && other != "" && !w.e.cfg.allows(SameMailbox) {
		return holdf("same mailbox as %s", other)
	}
	return err
}

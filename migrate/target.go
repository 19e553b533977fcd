package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/backend"
)

// tryTarget demands that the target lets the user in with every secret that is known, because it will have to prove
// them itself after the switch. A user who is locked out is never cut over.
func (w *worker) tryTarget(ctx context.Context) error {
	if w.e.cfg.Prove == "source" {
		return nil
	}
	for _, secret := range w.secrets {
		err := w.tryLogin(ctx, w.e.cfg.Target, secret)
		var refused *backend.Refused
		if errors.As(err, &refused) && authFailed(err) {
			if old := w.tryLogin(ctx, w.e.cfg.Source, secret); authFailed(old) {
				continue // the user has changed the password since, and it opens nothing any more
			} else if old != nil {
				return old
			}
			return w.unlessItPasses(fmt.Sprintf("the target does not let the user in with a password that the source takes: %s; give the account the same password there, then retry", refused.Text))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) tryLogin(ctx context.Context, b *backend.Backend, secret backend.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := b.Dial(ctx, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err = conn.LoginOwn(ctx, w.user, secret); err != nil {
		return fmt.Errorf("try the user's password: %w", err)
	}
	return nil
}

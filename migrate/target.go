package migrate

import (
	"context"
	"errors"
	"fmt"

	"imapferry/internal/backend"
)

// tryTarget demands that the target lets the user in with every secret that is known, because it will have to prove them itself after the switch.
// A user who is locked out is never cut over.
func (w *worker) tryTarget(ctx context.Context) error {
	if w.e.cfg.Prove == "source" {
		return nil
	}
	for _, secret := range w.secrets {
		if err := w.tryLogin(ctx, secret); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) tryLogin(ctx context.Context, secret backend.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := w.e.cfg.Target.Dial(ctx, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.LoginOwn(ctx, w.user, secret)
	var refused *backend.Refused
	if errors.As(err, &refused) && authFailed(err) {
		return holdf("the target does not let the user in with a password that the source takes: %s", refused.Text)
	}
	if err != nil {
		return fmt.Errorf("try the user's password: %w", err)
	}
	return nil
}

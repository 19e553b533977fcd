package migrate

import (
	"errors"
	"fmt"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// subscribe makes the target's subscriptions equal to the source's.
func (w *worker) subscribe(src *account) (n int64, err error) {
	dst := w.lanes[0].dst
	have := &account{mailboxes: map[string]*mailbox{}, subscribed: map[string]bool{}}
	for _, cmd := range []string{"LSUB", "LIST"} {
		if _, err := dst.do(have.take, cmd, `""`, `"*"`); err != nil {
			return 0, fmt.Errorf("list subscriptions of target: %w", err)
		}
	}
	for f := range src.subscribed {
		if have.subscribed[f] {
			continue
		}
		if err := dst.subscribe(f, have.mailboxes[f] != nil); err != nil {
			return n, err
		}
		n++
	}
	for f := range have.subscribed {
		if !src.subscribed[f] {
			if _, err := dst.do(nil, "UNSUBSCRIBE", name(f)); err != nil {
				return n, fmt.Errorf("unsubscribe %s: %w", wire.Quoted(f), err)
			}
			n++
		}
	}
	return n, nil
}

// subscribe subscribes to a folder, which may be missing: users keep subscriptions of folders that are gone. A target that
// refuses those keeps them when a folder is deleted, so it is made for the moment.
func (c *client) subscribe(folder string, exists bool) error {
	_, err := c.do(nil, "SUBSCRIBE", name(folder))
	var refused *backend.Refused
	if err == nil || exists || !errors.As(err, &refused) || refused.Status == "BYE" {
		return err
	}
	for _, verb := range []string{"CREATE", "SUBSCRIBE", "DELETE"} {
		if _, err := c.do(nil, verb, name(folder)); err != nil {
			if errors.As(err, &refused) && refused.Status == "NO" {
				return holdf("the subscription of %s, a folder that is gone, cannot be carried over: %s: %s; unsubscribe it at the source", wire.Quoted(folder), verb, refused.Text)
			}
			return fmt.Errorf("subscribe to the missing folder %s: %s: %w", wire.Quoted(folder), verb, err)
		}
	}
	return nil
}

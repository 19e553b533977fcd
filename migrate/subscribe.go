package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"imapferry/internal/wire"
	"imapferry/state"
)

// subscribe makes the target's subscriptions, which have tells, equal to the source's.
func (w *worker) subscribe(ctx context.Context, src, have *account) (n int64, err error) {
	dst := w.lanes[0].dst
	for f := range src.subscribed {
		known := len(w.exceptions.uids(f, ClassSubscription)) > 0
		if have.subscribed[f] || known && w.rec.Phase == state.Cutover { // sessions do not wait for what was tried in vain
			continue
		}
		err := w.lanes[0].subscribe(ctx, f, have.mailboxes[f] != nil)
		if refusedForGood(err) || errors.Is(err, errForgets) {
			err = w.exceptFolder(ctx, ofFolder{f, ClassSubscription}, err.Error())
		} else if err == nil {
			n++
		}
		if err != nil {
			return n, err
		}
	}
	for _, f := range w.exceptions.folders(ClassSubscription) {
		if have.subscribed[f] || !src.subscribed[f] {
			if err := w.mended(ctx, f, ClassSubscription, itself); err != nil {
				return n, err
			}
		}
	}
	for f := range have.subscribed {
		if !src.subscribed[f] && !w.leftOut(f) {
			if _, err := dst.do(nil, "UNSUBSCRIBE", name(f)); err != nil {
				return n, fmt.Errorf("unsubscribe %s: %w", wire.Quoted(f), err)
			}
			n++
		}
	}
	return n, nil
}

// subscriptions lists what the user is subscribed to, and the folders that are there, in one round trip.
func (c *client) subscriptions() (*account, error) {
	have := c.newAccount()
	var tags []string
	for _, cmd := range []string{"LSUB", "LIST"} {
		tag, err := c.start(cmd, `""`, `"*"`)
		if err != nil {
			return nil, err
		}
		tags = append(tags, tag)
	}
	for _, tag := range tags {
		if _, err := c.finish(tag, have.take); err != nil {
			return nil, fmt.Errorf("list subscriptions of %s: %w", c.side, err)
		}
	}
	return have, nil
}

// subscribe subscribes to a folder, which may be missing: users keep subscriptions of folders that are gone. A target that
// refuses those keeps them when a folder is deleted, so it is made for the moment.
func (l *lane) subscribe(ctx context.Context, folder string, exists bool) error {
	_, err := l.dst.do(nil, "SUBSCRIBE", name(folder))
	if err == nil || exists || !refusedForGood(err) {
		return err
	}
	if err := l.announce(ctx, &mailbox{name: folder}); err != nil {
		return err
	}
	if err = l.makeForMoment(folder); err == nil {
		if _, err = l.dst.do(nil, "SUBSCRIBE", name(folder)); err == nil || refusedForGood(err) {
			if left := l.remove(ctx, folder); left != nil { // even a refusal: it stays recorded, and the next worker deletes it
				return fmt.Errorf("%v; it was made for its subscription alone", left)
			}
		}
		if err == nil {
			err = l.remembers(folder)
		}
	}
	if err != nil {
		err = fmt.Errorf("subscribe to the missing folder %s: %w", wire.Quoted(folder), err)
	}
	if err != nil && !refusedForGood(err) && !errors.Is(err, errForgets) {
		return err
	}
	return errors.Join(err, l.w.deleteRecord(ctx, folder))
}

// makeForMoment creates folder, which is recorded and was not listed before. A target that says no may have made it all the same;
// one that it has by another spelling is not meant.
func (l *lane) makeForMoment(folder string) error {
	_, err := l.dst.do(nil, "CREATE", name(folder))
	if !refusedForGood(err) {
		return err
	}
	listed, lookErr := l.dst.uses()
	if lookErr != nil || !listed.has(folder) {
		return cmp.Or(lookErr, err)
	}
	there, lookErr := l.dst.statusOf(folder)
	if lookErr == nil && there != nil && there.unused() {
		return nil
	}
	return cmp.Or(lookErr, err)
}

var errForgets = errors.New("the target forgets the subscription of a folder that is deleted")

// remembers demands that the target keeps the subscription of a folder that was deleted. Cyrus does not.
func (l *lane) remembers(folder string) error {
	have, err := l.dst.subscriptions()
	if err == nil && !have.subscribed[folder] {
		err = errForgets
	}
	return err
}

package migrate

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
)

// round surveys the source and brings over every folder that is not proven to be unchanged. It returns how many
// messages it had to touch.
func (w *worker) round(ctx context.Context) (changed int64, err error) {
	src, err := w.surveySource(ctx)
	if err != nil {
		return 0, err
	}
	w.progress.total.Store(src.messages())
	w.progress.folders.Store(int64(len(src.names())))
	if err := w.announceShells(ctx, src); err != nil {
		return 0, err
	}
	if err := w.followRenames(ctx, src); err != nil {
		return 0, err
	}
	var todo []*mailbox
	for _, n := range src.names() {
		if m := src.mailboxes[n]; !w.proven(m) && !w.inVain(n) {
			todo = append(todo, m)
		}
	}
	if err := w.leaveUnopened(ctx, src); err != nil {
		return 0, err
	}
	if changed, err = w.syncAll(ctx, todo); err != nil {
		return changed, err
	}
	gone, err := w.dropFolders(ctx, src)
	if err != nil {
		return changed, err
	}
	if err := w.makeShells(src); err != nil {
		return changed, err
	}
	have, err := w.lanes[0].dst.subscriptions()
	if err != nil {
		return changed, err
	}
	if err := w.dropShells(ctx, src, have); err != nil {
		return changed, err
	}
	subs, err := w.subscribe(ctx, src, have)
	return changed + gone + subs, err
}

// syncAll shares folders out among the lanes.
func (w *worker) syncAll(ctx context.Context, todo []*mailbox) (int64, error) {
	if err := w.needLanes(ctx, len(todo)); err != nil {
		return 0, err
	}
	parts := groups(todo, len(w.lanes))
	queue := make(chan []*mailbox, len(parts))
	for _, g := range parts {
		queue <- g
	}
	close(queue)
	counts := make([]int64, len(w.lanes))
	w.failures = nil
	g, together := errgroup.WithContext(ctx)
	for i, l := range w.lanes {
		g.Go(func() error { return l.work(together, queue, &counts[i]) })
	}
	err := g.Wait()
	var sum int64
	for _, n := range counts {
		sum += n
	}
	return sum, errors.Join(append(w.failures, err)...)
}

// work syncs groups of folders from the queue until it is empty.
func (l *lane) work(ctx context.Context, queue <-chan []*mailbox, changed *int64) error {
	for group := range queue {
		l.equal = nil
		if err := l.createTogether(ctx, group); err != nil {
			return err
		}
		for _, m := range group {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n, err := l.sync(ctx, m)
			*changed += n
			if err == nil {
				err = l.w.mended(ctx, m.name, ClassFolder, itself)
			}
			if err == nil {
				continue
			}
			if err := l.goOnWithout(ctx, m.name, err); err != nil {
				return err
			}
		}
		n, err := l.prove(ctx)
		*changed += n
		if err != nil {
			return err
		}
	}
	return nil
}

// dropFolders deletes folders of the target that the engine made and that the source has no more. What is in them must be ours.
func (w *worker) dropFolders(ctx context.Context, src *account) (n int64, err error) {
	known := w.known()
	names := make([]string, 0, len(known))
	for n, f := range known {
		if !src.has(n) && !w.leftOut(n) && !isShell(f) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	slices.Reverse(names) // children before parents
	for _, f := range names {
		if err := w.lanes[0].drop(ctx, f); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

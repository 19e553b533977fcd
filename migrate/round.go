package migrate

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// round surveys the source and brings over every folder that is not proven to be unchanged. It returns how many
// messages it had to touch.
func (w *worker) round(ctx context.Context) (changed int64, err error) {
	src, err := w.lanes[0].src.survey()
	if err != nil {
		return 0, err
	}
	w.progress.total.Store(src.messages())
	w.progress.folders.Store(int64(len(src.names())))
	var todo []*mailbox
	for _, n := range src.names() {
		if m := src.mailboxes[n]; !w.proven(m) {
			todo = append(todo, m)
		}
	}
	if changed, err = w.syncAll(ctx, todo); err != nil {
		return changed, err
	}
	gone, err := w.dropFolders(ctx, src)
	if err != nil {
		return changed, err
	}
	subs, err := w.subscribe(src)
	return changed + gone + subs, err
}

// syncAll shares folders out among the lanes.
func (w *worker) syncAll(ctx context.Context, todo []*mailbox) (int64, error) {
	if err := w.needLanes(ctx, len(todo)); err != nil {
		return 0, err
	}
	queue := make(chan *mailbox, len(todo))
	for _, m := range todo {
		queue <- m
	}
	close(queue)
	counts := make([]int64, len(w.lanes))
	g, together := errgroup.WithContext(ctx)
	for i, l := range w.lanes {
		g.Go(func() error { return l.work(together, queue, &counts[i]) })
	}
	err := g.Wait()
	var sum int64
	for _, n := range counts {
		sum += n
	}
	return sum, err
}

// work syncs folders from the queue until it is empty.
func (l *lane) work(ctx context.Context, queue <-chan *mailbox, changed *int64) error {
	for m := range queue {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := l.sync(ctx, m)
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
	for f := range known {
		if m := src.mailboxes[f]; m == nil || !m.selectable {
			names = append(names, f)
		}
	}
	slices.Sort(names)
	slices.Reverse(names) // children before parents
	for _, f := range names {
		if err := w.lanes[0].reset(ctx, f); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

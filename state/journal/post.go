package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"imapferry/state"
)

// Bounds of posting: what is asked of the store at once, and how much of the journal is in memory.
const (
	postAtOnce = 16
	postPage   = 1000
)

// Store is what Post needs of a state.Store, which satisfies it.
type Store interface {
	Get(ctx context.Context, user string) (state.Record, error)
	Repair(ctx context.Context, rec state.Record, folders []state.Folder) (state.Record, error)
}

// Post gives the store back each switch that the journal has and the store does not tell of, and returns how many these were. A node
// posts before its workers begin: they would take the records at their word, and copy old mail over a mailbox that lives at the target.
func (j *Journal) Post(ctx context.Context, store Store) (repaired int, err error) {
	var count atomic.Int64
	for after := ""; ; {
		page, err := j.After(after, postPage)
		if err != nil {
			return int(count.Load()), err
		}
		if err := postAll(ctx, store, page, &count); err != nil {
			return int(count.Load()), fmt.Errorf("post the journal: %w", err)
		}
		if len(page) < postPage {
			return int(count.Load()), nil
		}
		after = page[len(page)-1].User
	}
}

// postAll posts a page, and ends with the first error.
func postAll(ctx context.Context, store Store, page []Switch, repaired *atomic.Int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range postAtOnce {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(page)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := post(ctx, store, page[i], repaired); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func post(ctx context.Context, store Store, s Switch, repaired *atomic.Int64) error {
	rec, err := store.Get(ctx, s.User)
	if err == nil && rec.Phase.OnTarget() {
		return nil
	}
	if err != nil && !errors.Is(err, state.ErrUnknown) {
		return err
	}
	if _, err := store.Repair(ctx, s.Record(), s.Folders); err != nil {
		return err
	}
	repaired.Add(1)
	return nil
}

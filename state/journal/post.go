package journal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"imapferry/state"
)

// Bounds of posting: what is asked of the store at once, and how much of the journal is in memory.
const (
	repairAtOnce = 16
	pageSize     = 1000
)

// Store is what Post needs of a state.Store, which satisfies it.
type Store interface {
	NotSwitched(ctx context.Context, users []string) ([]string, error)
	Repair(ctx context.Context, rec state.Record, folders []state.Folder) (state.Record, error)
}

// Post gives the store back each switch that the journal has and the store does not tell of, and returns how many these were. A node
// posts before its workers begin: they would take the records at their word, and copy old mail over a mailbox that lives at the target;
// and whenever the store may have lost writes, see state.Journals.
func (j *Journal) Post(ctx context.Context, store Store) (repaired int, err error) {
	var count atomic.Int64
	for after := ""; ; {
		page, err := j.After(after, pageSize)
		if err != nil {
			return int(count.Load()), err
		}
		if err := postPage(ctx, store, page, &count); err != nil {
			return int(count.Load()), fmt.Errorf("post the journal: %w", err)
		}
		if len(page) < pageSize {
			return int(count.Load()), nil
		}
		after = page[len(page)-1].User
	}
}

// postPage posts a page, and ends with the first error.
func postPage(ctx context.Context, store Store, page []Switch, repaired *atomic.Int64) error {
	if len(page) == 0 {
		return nil
	}
	users := make([]string, len(page))
	for i, s := range page {
		users[i] = s.User
	}
	lost, err := store.NotSwitched(ctx, users)
	if err != nil {
		return err
	}
	slices.Sort(lost)
	page = slices.DeleteFunc(slices.Clone(page), func(s Switch) bool { _, found := slices.BinarySearch(lost, s.User); return !found })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(repairAtOnce, len(page)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(page)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if _, err := store.Repair(ctx, page[i].Record(), page[i].Folders); err != nil {
					cancel(err)
					return
				}
				repaired.Add(1)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

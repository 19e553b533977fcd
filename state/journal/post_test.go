package journal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/journal"
)

// TestPost gives back to a store what it has lost, and changes nothing of what it has.
func TestPost(t *testing.T) {
	dir := t.TempDir()
	store, err := boltstate.Open(filepath.Join(dir, "state"), boltstate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	j := open(t, filepath.Join(dir, "journal"))
	for _, s := range samples {
		if err := j.Note(s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Offer(t.Context(), "alice"); err != nil { // older; the others are gone
		t.Fatal(err)
	}
	if _, err := store.Offer(t.Context(), "dave"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{len(samples), 0} {
		if n, err := j.Post(t.Context(), store); n != want || err != nil {
			t.Errorf("repaired %d, want %d (%v)", n, want, err)
		}
	}
	for _, s := range samples {
		rec, err := store.Get(t.Context(), s.User)
		if err != nil || rec.Phase != state.Migrated || rec.Fidelity != s.Fidelity || rec.Attempt != s.Attempt {
			t.Errorf("%q is %+v (%v)", s.User, rec, err)
		}
		folders, err := store.Folders(t.Context(), s.User)
		if err != nil || len(folders) != len(s.Folders) {
			t.Errorf("%q has %v (%v)", s.User, folders, err)
		}
	}
	if rec, err := store.Get(t.Context(), "dave"); err != nil || rec.Phase != state.Pending {
		t.Errorf("dave, whom the journal does not know, is %+v (%v)", rec, err)
	}
}

// failing is a store that knows nothing, and fails at the n-th call.
type failing struct {
	journal.Store
	mu sync.Mutex
	n  int
}

var errAway = errors.New("away")

func (f *failing) fails() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n <= 0 {
		return errAway
	}
	return nil
}

func (f *failing) NotSwitched(_ context.Context, users []string) ([]string, error) {
	return users, f.fails()
}

func (f *failing) Repair(context.Context, state.Record, []state.Folder) (state.Record, error) {
	return state.Record{}, f.fails()
}

// TestPostFails demands that a store that cannot be asked does not count as whole.
func TestPostFails(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	for i := range 40 {
		if err := j.Note(journal.Switch{User: fmt.Sprint("user", i), Attempt: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1, 2, 20, 41} {
		if _, err := j.Post(t.Context(), &failing{n: n}); !errors.Is(err, errAway) {
			t.Errorf("failing at call %d: %v", n, err)
		}
	}
	if _, err := j.Post(t.Context(), &failing{n: 42}); err != nil {
		t.Error(err)
	}
}

// counting is a store that knows all switches, and counts how often it is asked of each.
type counting struct {
	journal.Store
	asked map[string]int
}

func (c counting) NotSwitched(ctx context.Context, users []string) ([]string, error) {
	for _, u := range users {
		c.asked[u]++
	}
	return nil, ctx.Err()
}

// A journal of more switches than are in memory at once is posted once and to its end: a node that posts the first thousand again and
// again never joins.
func TestPostPages(t *testing.T) {
	const users = 2100
	j := open(t, filepath.Join(t.TempDir(), "journal"))
	var all sync.WaitGroup
	for i := range users { // at once, so that they share their syncs
		all.Go(func() {
			if err := j.Note(journal.Switch{User: fmt.Sprintf("user%04d", i), Fidelity: state.Exact}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := counting{asked: map[string]int{}}
	if n, err := j.Post(ctx, c); n != 0 || err != nil {
		t.Fatalf("repaired %d (%v)", n, err)
	}
	for i := range users {
		if u := fmt.Sprintf("user%04d", i); c.asked[u] != 1 {
			t.Fatalf("asked of %s %d times", u, c.asked[u])
		}
	}
}

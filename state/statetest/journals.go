package statetest

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"imapferry/state"
)

// Accept has the present run of s accepted, for tests in which nobody's journal knows anything: it posts for a node that lives no longer
// than that, and forgets whoever else is waited for.
func Accept(ctx context.Context, s state.Store) error {
	d, err := s.Doubt(ctx)
	if err != nil || !d.Untrusted {
		return err
	}
	n, err := s.Join(ctx, "the test "+rand.Text(), Long)
	if err == nil {
		err = s.Ready(ctx, n.Name, d, nil)
	}
	if err == nil {
		err = s.Post(ctx, n, d)
	}
	err = errors.Join(err, s.Leave(ctx, n))
	for _, name := range append(d.Missing, n.Name) {
		if e := s.Forget(ctx, name); !errors.Is(e, state.ErrUnknown) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// Who is at the target, and nobody else, need not be repaired.
func testNotSwitched(r *rig) {
	r.bring("migrated", state.Migrated)
	r.bring("finalized", state.Finalized)
	r.bring("cutover", state.Cutover)
	r.offer("pending")
	all := []string{"migrated", "cutover", "nobody", "finalized", "pending"}
	left, err := r.Store.NotSwitched(r.ctx, all)
	slices.Sort(left)
	if err != nil || !slices.Equal(left, []string{"cutover", "nobody", "pending"}) {
		r.Errorf("of %v there are %v (%v)", all, left, err)
	}
	if left, err := r.Store.NotSwitched(r.ctx, nil); err != nil || len(left) != 0 {
		r.Errorf("of none there are %v (%v)", left, err)
	}
}

// Records count, whoever posts; and a node that nobody knows is not forgotten.
func testTrusted(r *rig) {
	d, err := r.Store.Doubt(r.ctx)
	if err != nil || d.Untrusted || len(d.Missing) > 0 {
		r.Errorf("doubt: %+v (%v)", d, err)
	}
	n := r.join("n")
	r.must(r.Store.Ready(r.ctx, n.Name, d, []string{"m"}))
	r.must(r.Store.Post(r.ctx, n, d))
	if d, err := r.Store.Doubt(r.ctx); err != nil || d.Untrusted {
		r.Errorf("posted: %+v (%v)", d, err)
	}
	r.want("forget", r.Store.Forget(r.ctx, "nobody"), state.ErrUnknown)
}

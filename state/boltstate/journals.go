package boltstate

import (
	"context"
	"errors"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// Doubt implements state.Journals. The file is what this process alone has written; nobody else could tell it anything.
func (s *Store) Doubt(ctx context.Context) (state.Doubt, error) { return state.Doubt{}, ctx.Err() }

// Ready implements state.Journals.
func (s *Store) Ready(ctx context.Context, _ string, _ state.Doubt, _ []string) error {
	return ctx.Err()
}

// Post implements state.Journals.
func (s *Store) Post(ctx context.Context, _ state.Node, _ state.Doubt) error { return ctx.Err() }

// Forget implements state.Journals. There is no roster.
func (s *Store) Forget(ctx context.Context, _ string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return state.ErrUnknown
}

// NotSwitched implements state.Journals.
func (s *Store) NotSwitched(ctx context.Context, users []string) (left []string, err error) {
	defer note(&err, "look for", "switched users")
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		for _, u := range users {
			e, err := load(tx, u)
			if err != nil && !errors.Is(err, state.ErrUnknown) {
				return err
			}
			if !e.Phase.OnTarget() {
				left = append(left, u)
			}
		}
		return nil
	})
	return left, err
}

package statetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"time"

	"imapferry/state"
)

// Kinds are the users of a population in the middle of a migration, which repeats them: one who waits in each phase but cutover, more of
// those who are many.
var Kinds = []state.Phase{
	state.Pending, state.Pending, state.Pending, state.Copying, state.Tailing,
	state.Held, state.Migrated, state.Migrated, state.Migrated, state.Finalized,
}

// Citizen names user i of a population, in order. He is of the kind Kinds[i%len(Kinds)].
func Citizen(i int) string { return fmt.Sprintf("user%07d@mail.example", i) }

// Tokens returns what user claims.
func Tokens(user string) []string {
	tokens := make([]string, 3)
	for i := range tokens {
		sum := sha256.Sum256(fmt.Append(nil, user, i))
		tokens[i] = hex.EncodeToString(sum[:16])
	}
	return tokens
}

// Settle makes the first user of each kind as nodes and workers do, by the store's own methods. Stores are filled with copies of them,
// since a million are not made that way in a minute.
func Settle(ctx context.Context, s state.Store) error {
	for i, p := range Kinds {
		if err := settle(ctx, s, Citizen(i), p); err != nil {
			return fmt.Errorf("make a user who is %s: %w", p, err)
		}
	}
	return nil
}

func settle(ctx context.Context, s state.Store, user string, p state.Phase) error {
	if _, err := s.Offer(ctx, user); err != nil {
		return err
	}
	if p == state.Pending {
		return nil
	}
	if other, err := s.Claim(ctx, user, Tokens(user)); err != nil || other != "" {
		return fmt.Errorf("claimed by %q: %w", other, err)
	}
	l, _, err := s.Acquire(ctx, user, "node-1/OJ5C3WQXB2P4N7", Long)
	if err != nil {
		return err
	}
	if err := copied(ctx, s, l, p); err != nil {
		return err
	}
	if p.OnTarget() {
		if l, err = switched(ctx, s, l, p); err != nil {
			return err
		}
	}
	return s.Release(ctx, l)
}

const foldersEach = 5

// copied brings a user as far as the cutover, if not to held.
func copied(ctx context.Context, s state.Store, l state.Lease, p state.Phase) error {
	if _, err := s.Advance(ctx, l, state.Copying, state.Change{Fidelity: state.Exact}); err != nil {
		return err
	}
	for i := range foldersEach {
		err := s.PutFolders(ctx, l, state.Folder{
			Name: fmt.Sprintf("Folder %d", i), UIDValidity: 1_700_000_000, TargetUIDValidity: 1_700_000_000,
			UIDNext: 4711, HighestModSeq: 1 << 40, Messages: 4000, Engine: []byte(`{"d":4711,"m":4000,"s":1099511627776,"b":4711}`),
		})
		if err != nil {
			return err
		}
	}
	if err := s.Report(ctx, l, state.Progress{Folders: foldersEach, Messages: 20_000, MessagesDone: 20_000, BytesDone: 1 << 30}); err != nil {
		return err
	}
	to, c := state.Tailing, state.Change{}
	switch p {
	case state.Copying:
		return nil
	case state.Held:
		to, c.Reason = state.Held, "INBOX: the target holds mail of unknown origin"
	}
	_, err := s.Advance(ctx, l, to, c)
	return err
}

// switched switches a user, and waits for the next straggler pass or ends them.
func switched(ctx context.Context, s state.Store, l state.Lease, p state.Phase) (state.Lease, error) {
	const attempt = "3R5PX4ICXTLQTPZ6UBAMUVQI6E"
	l, _, err := s.BeginCutover(ctx, l, attempt, Long)
	if err != nil {
		return l, err
	}
	if err := s.Commit(ctx, l, attempt); err != nil {
		return l, err
	}
	if _, err := s.Switch(ctx, l, attempt, 400*time.Millisecond); err != nil {
		return l, err
	}
	var c state.Change
	if p == state.Migrated {
		c.Again = Long
	}
	_, err = s.Advance(ctx, l, p, c)
	return l, err
}

// Alike returns an error unless Citizen(i) is to the store what the one is of whom he is a copy.
func Alike(ctx context.Context, s state.Store, i int) error {
	user, of := Citizen(i), Citizen(i%len(Kinds))
	got, err := s.Get(ctx, user)
	if err != nil {
		return err
	}
	want, err := s.Get(ctx, of)
	if err != nil {
		return err
	}
	if want.User = user; !same(got, want) {
		return fmt.Errorf("the record is %+v, of the one copied %+v", got, want)
	}
	for _, p := range []state.Phase{0, got.Phase} {
		page, err := s.List(ctx, p, user[:len(user)-1], 1) // the next name
		if err != nil || len(page) != 1 || page[0].User != user {
			return fmt.Errorf("%s is not listed: %v, %w", user, page, err)
		}
	}
	if other, err := s.Claim(ctx, of, Tokens(user)); err != nil || (other == user) != (got.Phase != state.Pending) {
		return fmt.Errorf("%s has not claimed his mailbox: %q, %w", user, other, err)
	}
	gotFolders, err := folders(ctx, s, user)
	if err != nil {
		return err
	}
	if wantFolders, err := folders(ctx, s, of); err != nil || !maps.EqualFunc(gotFolders, wantFolders, func(a, b state.Folder) bool { return reflect.DeepEqual(a, b) }) {
		return fmt.Errorf("folders are %v, of the one copied %v, %w", gotFolders, wantFolders, err)
	}
	return nil
}

func folders(ctx context.Context, s state.Store, user string) (map[string]state.Folder, error) {
	all, err := s.Folders(ctx, user)
	of := make(map[string]state.Folder, len(all))
	for _, f := range all {
		of[f.Name] = f
	}
	return of, err
}

package redisstate

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"imapferry/state"
)

// Acquire implements state.Leases.
func (s *Store) Acquire(ctx context.Context, user, owner string, ttl time.Duration) (l state.Lease, r state.Record, err error) {
	defer note(&err, "acquire", user)
	if err := cmp.Or(state.CheckName("owner", owner), state.CheckSpan("ttl", ttl)); err != nil {
		return state.Lease{}, state.Record{}, err
	}
	r, err = s.forUser(ctx, acquireScript, user, newOp(), owner, micros(ttl))
	if err != nil {
		return state.Lease{}, state.Record{}, err
	}
	return state.Lease{User: user, Owner: owner, Epoch: r.Epoch}, r, nil
}

// Renew implements state.Leases.
func (s *Store) Renew(ctx context.Context, l state.Lease, ttl time.Duration) (err error) {
	defer note(&err, "renew lease of", l.User)
	if err := state.CheckSpan("ttl", ttl); err != nil {
		return err
	}
	_, err = s.forLease(ctx, renewScript, l, noOp, micros(ttl))
	return err
}

// Release implements state.Leases.
func (s *Store) Release(ctx context.Context, l state.Lease) (err error) {
	defer note(&err, "release", l.User)
	_, err = s.forLease(ctx, releaseScript, l, newOp())
	return err
}

// Advance implements state.Leases. The script is told from where it may lead, so that the table of transitions stands
// in one place.
func (s *Store) Advance(ctx context.Context, l state.Lease, to state.Phase, c state.Change) (r state.Record, err error) {
	defer note(&err, "advance", l.User)
	if err := c.Check(); err != nil {
		return state.Record{}, err
	}
	rest, err := s.forLease(ctx, advanceScript, l, newOp(), uint8(to), origins(to), state.CutReason(c.Reason), string(c.Fidelity), micros(c.Retry), again(c.Again))
	if err != nil {
		return state.Record{}, err
	}
	return record(l.User, rest)
}

// again returns d as advanceScript takes it.
func again(d time.Duration) int64 {
	if d == state.Never {
		return -1
	}
	return micros(d)
}

// origins returns the phases from which Advance may lead to to, as digits. Into and out of cutover it leads nowhere.
func origins(to state.Phase) string {
	var from strings.Builder
	for _, p := range state.Phases {
		if p.CanBecome(to) && p != state.Cutover && to != state.Cutover {
			fmt.Fprintf(&from, "%d", p)
		}
	}
	return from.String()
}

// Report implements state.Leases.
func (s *Store) Report(ctx context.Context, l state.Lease, p state.Progress) (err error) {
	defer note(&err, "report on", l.User)
	_, err = s.forLease(ctx, reportScript, l, noOp, p.Folders, p.Messages, p.MessagesDone, p.BytesDone, p.Exceptions, p.HoldMS,
		p.Stragglers, p.StragglersLeft, instant(p.LastStraggler), instant(p.LastPass), p.Excluded, p.Skipped)
	return err
}

// PutFolders implements state.Leases.
func (s *Store) PutFolders(ctx context.Context, l state.Lease, folders ...state.Folder) (err error) {
	defer note(&err, "note folders of", l.User)
	args := make([]any, 0, 2*len(folders))
	for _, f := range folders {
		if err := f.Check(); err != nil {
			return err
		}
		args = append(args, f.Name, f.Pack())
	}
	_, err = s.forLease(ctx, putFoldersScript, l, noOp, args...)
	return err
}

// DeleteFolder implements state.Leases.
func (s *Store) DeleteFolder(ctx context.Context, l state.Lease, name string) (err error) {
	defer note(&err, "forget folder of", l.User)
	_, err = s.forLease(ctx, deleteFolderScript, l, noOp, name)
	return err
}

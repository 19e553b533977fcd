package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// Verification compares the two sides as a client sees them. It reads only, takes no lease, and asks no worker to wait,
// so it can be run at any time:
//
//	before the switch   the source leads; whatever the target lacks is a difference
//	after the switch    the target leads and lives on. state.Folder says up to which UID both were proven equal; above that UID the two sides have
//	                    given the same UIDs to different messages, so there nothing is compared: what is there in the source has arrived after the
//	                    switch and is missing unless a straggler pass has brought it over, what is there in the target is new
//
// What a user who works on the target changes is a note, not a difference. So "is every message that the source has in
// the target?" has an exact answer: a message of the source is there under its UID, or is missing, or was there at the
// switch and has been removed since.
//
// Memory is bounded by the listings of one folder. A worker that gives a target folder its UIDVALIDITY ends all
// sessions that have it open, this one too; then the verification fails and can go on with the folder that it was at.

// VerifyOptions says how thorough a verification is.
type VerifyOptions struct {
	Bodies Verify                         // which bodies are compared; empty: a sample
	From   string                         // the first folder to compare, in the order that At tells; empty: all
	At     func(folder string, i, of int) // told before each folder, i from 0; nil: nobody is
}

// ErrNoFolder says that VerifyOptions.From is not a folder of the source.
var ErrNoFolder = errors.New("no such folder in the source")

// verification is one run over one user. It belongs to one goroutine.
type verification struct {
	ask      VerifyOptions
	report   func(Difference)
	onTarget bool
	exact    bool
	table    map[string]state.Folder // what the worker has proven, and what the relay tells clients
	recorded recorded                // exceptions, which are no differences
	*lane                            // of a worker that has no lease; its connections are replaced where one breaks over a message
	sum      Summary
}

// Verify compares the source and the target of user and reports every difference as it is found. The error says that
// the comparison could not be done or not be ended; the summary then covers what was compared. It needs a master login
// at both servers, or a password with which the user has logged in at this node and that the engine still keeps (I8).
func (e *Engine) Verify(ctx context.Context, user string, ask VerifyOptions, report func(Difference)) (Summary, error) {
	v := &verification{ask: ask, report: report, table: map[string]state.Folder{}}
	if v.ask.Bodies == "" {
		v.ask.Bodies = VerifySample
	}
	if err := v.load(ctx, e, user); err != nil {
		return v.sum, fmt.Errorf("verify %s: %w", user, err)
	}
	l, err := v.openPair(ctx, e, user)
	if err != nil {
		return v.sum, fmt.Errorf("verify %s: %w", user, err)
	}
	defer l.close()
	v.lane = l
	if err = l.learnNames(); err == nil {
		err = v.run(ctx)
	}
	if err == nil {
		err = v.lookAgain(ctx, e)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // instead of the connections that it has closed
	}
	if err != nil {
		return v.sum, fmt.Errorf("verify %s: %w", user, err)
	}
	v.sum.Complete = true
	return v.sum, nil
}

// load reads what the store knows. The record comes first: if the switch comes in between, the table is as it was at
// the switch all the same.
func (v *verification) load(ctx context.Context, e *Engine, user string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rec, err := e.cfg.Store.Get(ctx, user)
	if err != nil {
		return err
	}
	folders, err := e.cfg.Store.Folders(ctx, user)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if !isShell(f) {
			v.table[f.Name] = f
		}
	}
	if err := v.recorded.load(ctx, e.cfg.Store, user); err != nil {
		return err
	}
	if rec.Fidelity == "" {
		rec.Fidelity = e.adapter.fidelity()
	}
	v.onTarget, v.exact = rec.Phase.OnTarget(), rec.Fidelity == state.Exact
	v.sum = Summary{User: user, Phase: rec.Phase, Fidelity: rec.Fidelity, Bodies: v.ask.Bodies, From: v.ask.From}
	return nil
}

// openPair logs in to both servers, as a worker does.
func (v *verification) openPair(ctx context.Context, e *Engine, user string) (*lane, error) {
	secrets := e.secretsAtHand(user)
	if e.needsSecret() && len(secrets) == 0 {
		return nil, fmt.Errorf("%w: let the user log in through this node and verify again, or give both servers login = \"master\"", backend.ErrNoSecret)
	}
	l, err := (&worker{e: e, user: user, secrets: secrets, folders: v.table}).openLane(ctx)
	if authFailed(err) && e.needsSecret() {
		return nil, fmt.Errorf("%w; no password that the user has logged in with at this node is good for both servers", err)
	}
	return l, err
}

func (v *verification) run(ctx context.Context) error {
	src, err := v.src.survey()
	if err != nil {
		return err
	}
	dst, err := v.dst.survey()
	if err != nil {
		return err
	}
	names := src.names()
	if v.ask.From != "" {
		i := slices.Index(names, wire.CanonicalName(v.ask.From))
		if i < 0 {
			return fmt.Errorf("%w: %s", ErrNoFolder, wire.Quoted(v.ask.From))
		}
		names = names[i:]
	}
	v.account(src, dst)
	for i, n := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if v.ask.At != nil {
			v.ask.At(n, i, len(names))
		}
		if err := v.folder(n, src.mailboxes[n], dst.mailboxes[n]); err != nil {
			return err
		}
		v.sum.Folders++
	}
	return nil
}

// lookAgain finds out whether the user was switched meanwhile: then changes that clients made on the target were taken
// for differences.
func (v *verification) lookAgain(ctx context.Context, e *Engine) error {
	rec, err := e.cfg.Store.Get(ctx, v.sum.User)
	if err != nil {
		return err
	}
	if rec.Phase.OnTarget() && !v.onTarget {
		return errors.New("the user was switched to the target just now; verify again")
	}
	return nil
}

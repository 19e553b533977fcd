package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Kept is what a store keeps of a user beside folders and exceptions, as it hands it over to another store.
type Kept struct {
	Record                 // without a lease
	Since        time.Time `json:"since,omitzero"`          // the user waits for a worker, if NextTry is no later; see Users.Due
	AttemptEpoch uint64    `json:"attempt_epoch,omitempty"` // that BeginCutover raised to
	// Classes is how many exceptions there are of each class, those included that are not listed.
	Classes map[string]int64 `json:"exception_classes,omitempty"`
}

// Taker takes the content of a store piece by piece: a user, then that user's folders and exceptions, and so on; claims and journals stand anywhere.
// What is invalid is refused.
type Taker interface {
	// Journal names a node of the roster: its journal may know of switches that the content lacks, unless it was posted.
	Journal(ctx context.Context, node string, posted bool) error
	User(ctx context.Context, k Kept) error
	Folder(ctx context.Context, f Folder) error
	Exception(ctx context.Context, e Exception) error
	Claim(ctx context.Context, token, user string) error
}

// Exporter is a store that can hand over its content. Both stores are.
type Exporter interface {
	ID() string
	// Export hands over everything but nodes, leases and what belongs to these: inboxes and acknowledgements. It fails if a node is
	// alive or a user leased, at whatever moment of it: what is handed over is of one time only if nothing changes. Nodes that are not
	// heard of any more are waited for until they count as dead; waits hears which, and for how long. Records need not count, since the roster
	// goes along (Journals).
	Export(ctx context.Context, to Taker, waits func(node string, left time.Duration)) error
}

// Import is a store that takes the content of another one. Nobody opens it as a store until Finish has returned nil, nor after the process has died in
// between; another import of the same store may begin, and then begins anew. Close without Finish gives it up. What it makes has accepted no run.
type Import interface {
	Taker
	Finish(ctx context.Context) error
	Close() error
}

// Errors of opening and importing.
var (
	ErrNotEmpty   = errors.New("the store is not empty, and an import adds to no other content")
	ErrUnfinished = errors.New("an import into the store was begun and has not ended, so it is not whole: import again, or empty the store")
	ErrAbsent     = errors.New("there is no store")
)

// Alive is why Export has refused: nodes work on the store.
type Alive struct{ Node string }

func (a *Alive) Error() string {
	return fmt.Sprintf("node %s is alive on the store: stop all nodes", a.Node)
}

// Leased is why Export has refused: a worker may change the user until its lease ends. No node is alive, so the worker did not end in good order.
type Leased struct {
	User, Owner string
	Until       time.Time
}

func (l *Leased) Error() string {
	return fmt.Sprintf("user %s is leased to worker %s until %s: try again then", l.User, l.Owner, l.Until.UTC().Format(time.RFC3339))
}

// Check returns ErrInvalid with what no store has of a user, or nil.
func (k Kept) Check() error {
	err := cmp.Or(CheckName("user", k.User), Change{Fidelity: k.Fidelity}.Check(), CheckTally(k.Moved, k.Ended))
	for class, n := range k.Classes {
		if err == nil && n < 1 {
			err = fmt.Errorf("%d exceptions of class %.70q: %w", n, class, ErrInvalid)
		}
		err = cmp.Or(err, Exception{Class: class}.Check())
	}
	if k.Attempt != "" {
		err = cmp.Or(err, CheckName("attempt", k.Attempt))
	}
	switch {
	case err != nil:
		return err
	case phaseNames[k.Phase] == "":
		return fmt.Errorf("%s is in phase %d: %w", k.User, k.Phase, ErrInvalid)
	case k.Owner != "" || !k.LeaseUntil.IsZero():
		return fmt.Errorf("%s is leased: %w", k.User, ErrInvalid)
	case k.Committing && k.Phase != Cutover, k.Phase == Cutover && k.Attempt == "":
		return fmt.Errorf("%s is %s by attempt %q, committing: %v: %w", k.User, k.Phase, k.Attempt, k.Committing, ErrInvalid)
	case len(k.Ended) > MaxEnded:
		return fmt.Errorf("%s has sessions ended for %d reasons, more than %d: %w", k.User, len(k.Ended), MaxEnded, ErrInvalid)
	case len(k.Reason) > MaxReason:
		return fmt.Errorf("%s has a reason of %d bytes, more than %d: %w", k.User, len(k.Reason), MaxReason, ErrInvalid)
	}
	return nil
}

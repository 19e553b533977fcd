package state

import (
	"context"
	"errors"
	"time"
)

// Errors that a Store returns, wrapped or bare. Any other error means that the store could not be asked, and that
// nothing is known about whether a write took place.
var (
	ErrUnknown  = errors.New("user is not known")                    // no such record
	ErrBusy     = errors.New("another worker holds the lease")       // Acquire
	ErrLost     = errors.New("lease lost")                           // a newer epoch exists, or the lease has ended (I6)
	ErrPhase    = errors.New("the user's phase does not allow this") // not a legal transition, or another attempt
	ErrLate     = errors.New("the cutover's deadline has passed")    // Commit (I5)
	ErrWaiting  = errors.New("not all nodes have acknowledged")      // Commit
	ErrFenced   = errors.New("this incarnation is not alive any more")
	ErrReplaced = errors.New("the store does not hold any more what this process knew: it was emptied, or is another one")
	// ErrUntrusted is what a store says of its records that may have come back older: Journals.
	ErrUntrusted = errors.New("the store was started or failed over and may have lost writes: its records do not count before all nodes have posted their journals")
	ErrInvalid   = errors.New("not valid") // an argument that no store takes; limits.go says which
)

// Store holds the state of all users and nodes. All methods are safe for concurrent use, take effect whole or not at all, and are
// durable when they return nil. The suite statetest says the same in code.
//
// What is missing may have been lost, and a user who was switched must not be taken for a new one. So a store that can lose
// everything beneath the process that uses it returns ErrReplaced where it would make a record, say that there is none, say who is
// due, or say that a node is alive.
type Store interface {
	Users
	Leases
	Exceptions
	Cutovers
	Nodes
	Journals

	// Watch returns a channel that names users whose record has changed. It is a hint: changes may be
	// missed or reported twice, so readers also look by themselves now and then. It is closed when ctx ends.
	Watch(ctx context.Context) <-chan string
	// ID is a word that tells the content of this store from another's: made with it, moved with it (see Exporter), and another one
	// after the store was emptied. It is what it was when the store was opened.
	ID() string
	// Ping reports whether the store answers.
	Ping(ctx context.Context) error
	Close() error
}

// Users reads records and makes them. Methods that name a user whom no Offer has made return ErrUnknown, unless they
// say otherwise.
type Users interface {
	// Offer makes user known: it creates a pending record if there is none, and returns the record. It returns
	// ErrInvalid for names that CheckName refuses; there is no record of them, so everything else says ErrUnknown.
	Offer(ctx context.Context, user string) (Record, error)
	// Get returns the record of user, or ErrUnknown if there was none at any time.
	Get(ctx context.Context, user string) (Record, error)
	// List returns at most limit records in order of user name, those after the name after ("" for the first). A zero
	// phase means all. Fewer than limit means that there are no more. A user who changes phase meanwhile may be
	// missed.
	List(ctx context.Context, phase Phase, after string, limit int) ([]Record, error)
	// Counts returns how many users are in each phase, without reading all users.
	Counts(ctx context.Context) (map[Phase]int64, error)
	// Due returns at most limit users whose next try has come and whose lease is free, those first who have waited
	// longest: pending, copying and tailing users, and users in cutover whose worker is gone, whatever their next
	// try; behind all these migrated users whose next straggler pass has come. A user waits since the creation, since
	// the last lease ended, or since the next try came, whichever is latest.
	Due(ctx context.Context, limit int) ([]string, error)
	// Claim binds tokens, which identify one mailbox, to user. If any of them is bound to another user, nothing is
	// bound and that user's name is returned, the one of the first such token; else "". The user need not be known yet.
	Claim(ctx context.Context, user string, tokens []string) (other string, err error)
	// Retry takes user out of held into pending, without reason and failed tries, or makes the next try due now; of a
	// migrated user, the next straggler pass, also if none was to come. It returns ErrPhase for finalized users.
	Retry(ctx context.Context, user string) (Record, error)
	// Park makes the engine move mail of unknown origin in the target aside instead of holding user for it. It returns
	// ErrPhase for users whom the target serves.
	Park(ctx context.Context, user string) (Record, error)
	// ReleaseUser lets the engine switch user whatever the cutover policy says, until the switch, and makes the next try due now.
	// It returns ErrPhase for users whom the target serves.
	ReleaseUser(ctx context.Context, user string) (Record, error)
	// Tally adds to the counts of sessions of user that were moved to the target, and, by reason, that were ended because of
	// the switch. Any node may, at any time. Negative numbers are ErrInvalid, and so is what CheckEnded refuses.
	Tally(ctx context.Context, user string, moved int64, ended map[string]int64) error
	// Folders returns the folders of user, in no order.
	Folders(ctx context.Context, user string) ([]Folder, error)
}

// Lease is the right to change the record of User, as long as Epoch is the newest.
type Lease struct {
	User  string
	Owner string
	Epoch uint64
}

// Change is what Advance writes beside the phase.
type Change struct {
	Reason   string        // replaces Record.Reason
	Fidelity Fidelity      // replaces Record.Fidelity unless empty
	Retry    time.Duration // not 0: counts a failed try; the next one is due after Retry. 0 leaves both as they are
	Again    time.Duration // not 0: forgets failed tries; the next try is due after Again, or, if it is Never, NextTry is cleared
}

// Never is Change.Again of a migrated user for whom no straggler pass is to come.
const Never time.Duration = -1

// Leases is what a worker does. Every method that takes a Lease returns ErrLost once the lease has ended or another
// epoch exists; that is looked at before anything else but whether the user is known. A lease ends at its time, not
// after it.
type Leases interface {
	// Acquire takes the lease of user for ttl and raises the epoch. It returns ErrBusy while another owner's lease is
	// valid (the same owner gets a new lease, and its old one is lost), ErrUnknown, or ErrPhase for users who are
	// finalized or held. Whoever has acquired must look at the returned record: things may have changed.
	Acquire(ctx context.Context, user, owner string, ttl time.Duration) (Lease, Record, error)
	// Renew extends the lease to ttl from now.
	Renew(ctx context.Context, l Lease, ttl time.Duration) error
	// Release ends the lease. The user is due again at once, or at Record.NextTry. A second Release is ErrLost.
	Release(ctx context.Context, l Lease) error
	// Advance moves the user to phase to, or leaves the phase when to is the present one, and writes c. It returns
	// ErrPhase if the transition is not legal; into and out of cutover only Cutovers lead. Entering copying for the
	// first time sets Started. Leaving a phase forward resets Attempts and NextTry before c.Retry is counted.
	// Entering finalized forgets the folders of an exact user without Skipped gaps, since no client needs the relay's
	// table.
	Advance(ctx context.Context, l Lease, to Phase, c Change) (Record, error)
	// Report replaces the user's progress, HoldMS too: begin with the record's. Until the lease ends or the phase
	// changes a crash may lose it; it is the only write that may come later than its return.
	Report(ctx context.Context, l Lease, p Progress) error
	// PutFolders writes folders under their names, all or none. It returns ErrInvalid for what Folder.Check refuses.
	PutFolders(ctx context.Context, l Lease, folders ...Folder) error
	// DeleteFolder forgets the folder name. An unknown name is no error.
	DeleteFolder(ctx context.Context, l Lease, name string) error
}

// Cutovers is the switch over all nodes.
type Cutovers interface {
	// BeginCutover moves the user from tailing to cutover, raises the epoch, sets attempt and a deadline of budget
	// from now, and puts a hold into the inbox of every live node. The lease that it returns replaces l and ends when
	// l would have. Attempts and NextTry stay, so that a backoff grows over cutovers that are called off; Reason is
	// cleared. After an error other than those above the attempt may stand, but then it may not be committed: acquire
	// again and call it off. While a node is silent for longer than SilentBeyond, BeginCutover returns *Silent, whatever else
	// is wrong, and changes nothing.
	//
	// A node that joins later is not waited for and finds nothing in its inbox: it joined before it took its first
	// login, so it reads the phase cutover. A node that joined before the phase was written is waited for, whatever
	// the store is built on.
	BeginCutover(ctx context.Context, l Lease, attempt string, budget time.Duration) (Lease, Record, error)
	// Acknowledge says that no write of the user can reach the source through node any more, until the attempt is
	// over. It returns ErrPhase if another attempt or epoch, or none, is under way, and ErrFenced. h.Epoch is the one
	// that BeginCutover raised to; a takeover does not change it. Acknowledging twice is no error. touched is what
	// clients have changed through node of late; nothing of it comes after the acknowledgement. sessions is how many sessions on the
	// source the node holds. What CheckTouched refuses is ErrInvalid, and so is a negative number.
	Acknowledge(ctx context.Context, node Node, h Hold, sessions int, touched []Touched) error
	// Waiting returns the nodes that have not acknowledged the present attempt and are alive, or ErrPhase if attempt
	// is not under way.
	Waiting(ctx context.Context, user, attempt string) ([]Node, error)
	// Touched returns what came with all acknowledgements of the present attempt, in no order, or ErrPhase if attempt is
	// not under way. Nodes that died before they had acknowledged are missing.
	Touched(ctx context.Context, user, attempt string) ([]Touched, error)
	// Sessions returns what came as sessions with all acknowledgements of the present attempt, or ErrPhase if attempt is not under
	// way. Nodes without sessions, and those that died before they had acknowledged, are missing.
	Sessions(ctx context.Context, user, attempt string) (map[Node]int, error)
	// CallOff moves the user from cutover back to tailing with reason. The holder of the lease l may do so at any
	// time before Commit; with a zero lease (l.User alone set) anyone may, past the deadline. It returns ErrPhase if
	// attempt is not under way or is committed, and ErrLost, also for a zero lease before the deadline. The epoch is
	// raised and the lease ended when the caller is not the holder, so that the worker finds out; the holder keeps
	// its lease.
	CallOff(ctx context.Context, l Lease, attempt, reason string) error
	// Commit makes the attempt irrevocable. It demands, in this order, lease and epoch (ErrLost), phase and attempt
	// (ErrPhase), the deadline (ErrLate) and all acknowledgements (ErrWaiting). The epoch must be the one of
	// BeginCutover: who has taken over gets ErrPhase. A second Commit by the same holder is no error, so it may be
	// asked again when the answer was lost.
	Commit(ctx context.Context, l Lease, attempt string) error
	// Switch moves a committed user to migrated and sets Migrated and HoldMS, clears Reason, Attempts and Released, and
	// makes the first straggler pass due now. hold is how long sessions had to wait. It returns ErrPhase before Commit.
	// Whoever holds the lease may switch, and a second Switch of the same attempt is no error.
	Switch(ctx context.Context, l Lease, attempt string, hold time.Duration) (Record, error)
}

// Nodes is the registry of running processes.
//
// An incarnation is alive until it has left, or counts as dead. Nobody's clock on the wall decides that, and the store's least of
// all: a process has watched its Beats stand still for what the incarnation promised and Margin, by its own clock, and has then
// written that it is dead, provided that they still stand. From that on all that it asks for is refused, for ever. So a process that
// has just opened the store knows nobody to be dead. Whoever asks for nodes that are alive (BeginCutover, Waiting, Commit, Live
// and Join) looks whether one is to be declared dead.
type Nodes interface {
	// Join registers a new incarnation of the node name, which promises to beat within each ttl. It returns *Taken while
	// another incarnation has the name, unless that is one of former, which end by it: the caller's own, which it has stopped
	// serving under. After an error other than those of the contract the incarnation that is returned may have been
	// registered, and is one of former in the next try. Whoever joins reads a user's record after that, before it sends the
	// user anywhere.
	Join(ctx context.Context, name string, ttl time.Duration, former ...string) (Node, error)
	// Beat shows that the node lives, and promises another Beat within ttl. It returns ErrFenced if the incarnation has ended.
	// The node may take itself for alive until ttl after it began to call, if Beat returns nil.
	Beat(ctx context.Context, n Node, ttl time.Duration) error
	// Leave ends the incarnation at once, and the name is free. Its holds need no acknowledgement any more. It is no error if
	// the incarnation has ended already.
	Leave(ctx context.Context, n Node) error
	// Live returns the nodes that are alive.
	Live(ctx context.Context) ([]Node, error)
	// Inbox returns the holds that n has not acknowledged and that are not over, or ErrFenced. It is complete: a hold
	// that Commit waits for is there.
	Inbox(ctx context.Context, n Node) ([]Hold, error)
}

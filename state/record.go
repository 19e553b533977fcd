package state

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Fidelity is what a user's clients keep across the switch.
type Fidelity string

// The classes of fidelity.
const (
	Exact      Fidelity = "exact"      // UIDVALIDITY and UIDs are equal in the target itself
	Translated Fidelity = "translated" // UIDs equal, UIDVALIDITY rewritten by the relay
	Reset      Fidelity = "reset"      // clients must resync; only if the operator allows it
)

// Record is what the store knows of one user. Its JSON form is what `imapferry status USER --json` prints.
type Record struct {
	User     string   `json:"user"` // canonical name
	Phase    Phase    `json:"phase"`
	Fidelity Fidelity `json:"fidelity"` // empty until the worker knows
	Reason   string   `json:"reason"`   // why held, or why the last try failed, or what the user waits for; empty if all is well

	Progress

	// The lease.
	Epoch      uint64    `json:"epoch"`
	Owner      string    `json:"owner"` // the worker that holds the lease; empty if none does
	LeaseUntil time.Time `json:"lease_until,omitzero"`

	// Tries. A user is due when no lease is held and NextTry has passed; of migrated users it is the next straggler
	// pass, and zero if there is none to come.
	Attempts int       `json:"attempts"` // failed tries in a row
	NextTry  time.Time `json:"next_try,omitzero"`

	// The cutover under way, or the last one.
	Attempt    string    `json:"attempt,omitempty"` // random id
	Deadline   time.Time `json:"deadline,omitzero"`
	Committing bool      `json:"committing,omitempty"` // Commit has succeeded, Switch has not yet

	Released bool `json:"released,omitempty"` // an operator lets the switch come whatever the cutover policy says

	Park bool `json:"park,omitempty"` // mail of unknown origin in the target is moved aside until the switch

	Moved        int64 `json:"moved"`        // sessions that went on on the target
	Disconnected int64 `json:"disconnected"` // sessions that were ended because of the switch

	// Ended is Disconnected by reason, short words of the relay's; nil if there is none. See CheckEnded and AddEnded.
	Ended map[string]int64 `json:"ended,omitempty"`

	Created  time.Time `json:"created,omitzero"`
	Started  time.Time `json:"started,omitzero"`  // first copying
	Migrated time.Time `json:"migrated,omitzero"` // the switch
}

// NeedsView reports whether the relay needs the user's folders at the target, to show clients something else than the target says.
func (r Record) NeedsView() bool { return r.Fidelity == Translated || r.Skipped > 0 }

// Progress is what a worker reports of its user.
type Progress struct {
	Folders      int64 `json:"folders"`
	Excluded     int64 `json:"excluded"` // folders of the source that the configuration leaves out
	Messages     int64 `json:"messages"`
	MessagesDone int64 `json:"messages_done"`
	BytesDone    int64 `json:"bytes_done"`
	Exceptions   int64 `json:"exceptions"`
	HoldMS       int64 `json:"hold_ms"`           // how long the last cutover held sessions
	Skipped      int64 `json:"folders_with_gaps"` // see Folder.Skipped; who has none needs no folders read at a login

	// Stragglers: mail that the source has got after the switch.
	Stragglers     int64     `json:"stragglers"`              // brought over to the target
	StragglersLeft int64     `json:"stragglers_left"`         // could not be brought over so far; each pass tries again
	LastStraggler  time.Time `json:"last_straggler,omitzero"` // when a pass last found any
	LastPass       time.Time `json:"last_pass,omitzero"`      // when the last pass that was done began
}

// Folder is what the store keeps of one folder of a user, written by the worker. For a translated user it is also the relay's
// table: where the target says TargetUIDValidity for AtTarget, clients are told UIDValidity.
type Folder struct {
	Name              string `json:"name"`             // raw mailbox name, the source's
	Target            string `json:"target,omitempty"` // the target's, if it is another one
	UIDValidity       uint32 `json:"uidvalidity"`      // the source's
	TargetUIDValidity uint32 `json:"target_uidvalidity"`
	UIDNext           uint32 `json:"uidnext"`  // the source's, read before the listing that the last pass verified
	HighestModSeq     uint64 `json:"modseq"`   // the source's at that moment; 0 without CONDSTORE
	Messages          uint32 `json:"messages"` // the source's at that moment
	// Skipped are gaps between the UIDs at the target that nobody filled, so that the target cannot tell of these UIDs
	// that there are no such messages any more. They rise, and there are at most MaxSkipped.
	Skipped []Gap `json:"skipped,omitempty"`
	// Engine is the worker's own note, opaque to the store: at most 64 KiB.
	Engine []byte `json:"engine,omitempty"`
}

// AtTarget returns the folder's name at the target, by which clients know it after the switch.
func (f Folder) AtTarget() string { return cmp.Or(f.Target, f.Name) }

// Gap is UIDs without a message, both ends included.
type Gap struct {
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

// Skip notes that the UIDs from from up to to are skipped, and reports whether there was room for it. Skipping the same ones again,
// and more behind them, is one gap: what is skipped may be tried again.
func (f *Folder) Skip(from, to uint32) bool {
	var kept []Gap // another array: a Folder is passed by value
	for _, g := range f.Skipped {
		if g.To < from || g.From > to {
			kept = append(kept, g)
			continue
		}
		from, to = min(from, g.From), max(to, g.To)
	}
	if len(kept) == MaxSkipped {
		return false
	}
	at, _ := slices.BinarySearchFunc(kept, from, func(g Gap, from uint32) int { return cmp.Compare(g.From, from) })
	f.Skipped = slices.Insert(kept, at, Gap{from, to})
	return true
}

// Hold asks a node to send nothing of User to the source any more. It is in the node's inbox until it is acknowledged or over.
type Hold struct {
	User    string `json:"user"`
	Epoch   uint64 `json:"epoch"`
	Attempt string `json:"attempt"`
}

// idlePrefix begins the attempts of IdleAttempt.
const idlePrefix = "idle-"

// IdleAttempt returns the name of an attempt that is called off if any node has sessions, whatever these do. No session is to blame
// for its failing.
func IdleAttempt(id string) string { return idlePrefix + id }

// Idle reports whether h is for an attempt of IdleAttempt.
func (h Hold) Idle() bool { return strings.HasPrefix(h.Attempt, idlePrefix) }

// Node is one incarnation of a running process.
type Node struct {
	Name        string `json:"name"`        // stable: host name or as configured
	Incarnation string `json:"incarnation"` // random, new at every start
}

package state

import "time"

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

	// Tries. A user is due when no lease is held and NextTry has passed.
	Attempts int       `json:"attempts"` // failed tries in a row
	NextTry  time.Time `json:"next_try,omitzero"`

	// The cutover under way, or the last one.
	Attempt    string    `json:"attempt,omitempty"` // random id
	Deadline   time.Time `json:"deadline,omitzero"`
	Committing bool      `json:"committing,omitempty"` // Commit has succeeded, Switch has not yet

	Moved        int64 `json:"moved"`        // sessions that went on on the target
	Disconnected int64 `json:"disconnected"` // sessions that were ended because of the switch

	Created  time.Time `json:"created,omitzero"`
	Started  time.Time `json:"started,omitzero"`  // first copying
	Migrated time.Time `json:"migrated,omitzero"` // the switch
}

// Progress is what a worker reports of its user.
type Progress struct {
	Folders      int64 `json:"folders"`
	Messages     int64 `json:"messages"`
	MessagesDone int64 `json:"messages_done"`
	BytesDone    int64 `json:"bytes_done"`
	Exceptions   int64 `json:"exceptions"`
	HoldMS       int64 `json:"hold_ms"` // how long the last cutover held sessions
}

// Folder is what the store keeps of one folder of a user, written by the worker. For a translated user it is also the relay's
// table: where the target says TargetUIDValidity for Name, clients are told UIDValidity.
type Folder struct {
	Name              string `json:"name"`        // raw mailbox name as clients send it
	UIDValidity       uint32 `json:"uidvalidity"` // the source's
	TargetUIDValidity uint32 `json:"target_uidvalidity"`
	UIDNext           uint32 `json:"uidnext"`  // the source's, read before the listing that the last pass verified
	HighestModSeq     uint64 `json:"modseq"`   // the source's at that moment; 0 without CONDSTORE
	Messages          uint32 `json:"messages"` // the source's at that moment
	// Engine is the worker's own note, opaque to the store: at most 64 KiB.
	Engine []byte `json:"engine,omitempty"`
}

// Hold asks a node to send nothing of User to the source any more. It is in the node's inbox until it is acknowledged or over.
type Hold struct {
	User    string `json:"user"`
	Epoch   uint64 `json:"epoch"`
	Attempt string `json:"attempt"`
}

// Node is one incarnation of a running process.
type Node struct {
	Name        string `json:"name"`        // stable: host name or as configured
	Incarnation string `json:"incarnation"` // random, new at every start
}

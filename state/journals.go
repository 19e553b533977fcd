package state

import "context"

// Journals is how nodes give a store back the switches that it may have lost (state/model/journal.pml).
//
// A store that can come back older than it was, because it was restored from a snapshot or failed over with writes lost, has runs: a new
// one begins whenever that may have happened. In a new run no record counts, whatever it says: only the methods of Journals, Nodes but
// Inbox, and lists and counts of users go on, and everything else returns ErrUntrusted, until every node of the roster has posted its
// journal to that run. The store keeps which run was accepted, so one that comes back older tells of another run than its own.
//
//	each node: Doubt ─► NotSwitched, Repair … ─► Ready ─► all are ─► holds its sessions on the source ─► Post ─► all have: accepted
//
// On the roster is every node that has ever been Ready, by name, whether it runs or not, until it is forgotten. A store that is a file of one
// process has one run, which always counts.
type Journals interface {
	// Doubt tells whether records count, and if not, who is waited for.
	Doubt(ctx context.Context) (Doubt, error)
	// NotSwitched returns those of users whom the store does not know to be served by the target, in any run.
	NotSwitched(ctx context.Context, users []string) ([]string, error)
	// Repair makes the store tell of a switch that it has lost, of which a node's journal knows: User, Fidelity, Attempt, Migrated
	// and Skipped of rec count. The user becomes migrated from whatever phase, and known if need be; a lease ends and a newer
	// epoch makes it void, a cutover is over. folders are written under their names, and others stay. No straggler pass is to
	// come, since nobody knows what was brought over after the time as of which the store is: Retry asks for one. Reason says so.
	// A user whom the target serves stays as he is. It returns the record after.
	Repair(ctx context.Context, rec Record, folders []Folder) (Record, error)
	// Ready says that all switches in the journal of node have been repaired in the run that d tells of, and puts it and the nodes that
	// roster names on the roster. It returns ErrUntrusted if another run has begun since, for which the journal must be read again.
	Ready(ctx context.Context, node string, d Doubt, roster []string) error
	// Post says, after Ready, that n holds its sessions on the source, and goes on to do so until it has learned that records count and
	// has read those of their users: a switch that was lost and is back would be news to it (the model's NO_HOLD). When all have posted
	// the run is accepted. It returns ErrUntrusted as Ready does, and ErrFenced if n is not alive: it would not be waited for by
	// cutovers.
	Post(ctx context.Context, n Node, d Doubt) error
	// Forget takes a node off the roster that is gone for good, with what its journal alone knew. It returns ErrUnknown if it is not
	// on it, and *Taken while it is not known to be dead. A node that comes back all the same posts at its start.
	Forget(ctx context.Context, name string) error
}

// Doubt is what a store says of how far it can be trusted. The zero value is that of a store that always can.
type Doubt struct {
	Run       string   // opaque; another one whenever writes may have been lost
	Untrusted bool     // not every record counts
	Roster    []string // in order
	Unready   []string // of those, who have not said Ready in this run
	Missing   []string // and who have not said Post; none of both if records count
}

// Package state is how far each user is, who may change that, and which nodes must agree before a user is switched.
//
// A user's Record carries a Phase. Workers advance it through a Lease; nodes read it to route logins and acknowledge
// holds; operators read all of it. Everything goes through a Store, of which there are two: boltstate, one file and
// one node, and redisstate, any number of nodes. statetest is the suite that both pass, and this page is their
// contract.
//
//	(none) ─► pending ─► copying ─► tailing ─► cutover ─► migrated ─► finalized
//	              ▲          │          ▲  │        │
//	              └── held ◄─┴──────────┼──┘        │ called off
//	                                    └───────────┘
//
// # Who may write
//
// A lease names a user, an owner and an epoch. The epoch is a fencing token: it grows with every acquisition and with every
// cutover, and each write through a lease names it, so a worker that lost its lease gets ErrLost, whatever its clock says (I6).
// Time is the store's, never the caller's.
//
// Beside the record a user has folders, which are the worker's notes and the relay's table, and exceptions, which are
// what could not be carried over as it was.
//
// # A store that has come back older
//
// Nothing of a store's own tells it, but nodes keep journals of the switches on which they have acted. Whenever writes may have been lost,
// records count only after all nodes have posted these (Journals).
//
// # The cutover
//
// BeginCutover moves a tailing user to cutover, names the live nodes and puts a hold into the inbox of each. A node
// that has stopped sending anything to the source acknowledges with epoch and attempt, and tells what clients have
// changed there of late (Touched). When all have, Commit and then Switch end it: after Commit nothing calls the
// cutover off any more, and after Switch the user is migrated. Until Commit anything that fails calls it off, and
// past the deadline any node may; a late Commit is refused (I5). A node resumes the source only after reading that
// the attempt is over.
//
// The steps are those of the model in state/model, under the same names; `make model` looks at all its states.
//
// A worker that takes over a user in cutover calls the attempt off, unless it was committed: then it switches.
package state

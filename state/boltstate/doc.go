// Package boltstate keeps the state of one node's users in one file, by bbolt. It is the default: nothing has to be installed.
//
//	meta     form      number of the layout
//	meta     id        of the store; in its place there is import while an import goes on, and if it died
//	users    user      record, packed
//	phases   phase user            index: users of a phase, in order
//	counts   phase     how many users are in it
//	due      time user             index: users who wait for a worker, since when
//	folders  user NUL folder       state.Folder, packed
//	claims   token     user
//
// A transition writes the record, its two indexes and the counters in one transaction, so they cannot disagree.
//
// # What is in memory only
//
// The file lock lets one process in at a time. When a process opens the file, every owner and every node that the
// former process knew is therefore dead, and need not be looked up: leases, nodes and acknowledgements live in
// memory. Renew, Beat, Acknowledge, Join and Leave cost no disk write; with a few hundred synced transactions a
// second on common disks that decides how many users can move at once. The epoch is in the file and only grows, so a
// lease from before is refused (I6). A user in cutover at a restart is due at once; the worker that takes over calls
// the attempt off or switches, by what the record says, and finds no node to wait for but those that joined since,
// which have read the record.
//
// Report is coalesced: figures stay in memory and are written with the next transition of the user or within a second. A crash
// loses the progress of that second, nothing else; workers count anew anyway.
//
// Everything else is synced to the disk before it returns. Writes go one at a time; Offer, Claim and Tally, which
// many sessions may ask at once, share a sync.
//
// # Limits
//
// One process, one machine. Watch tells of this process's changes, and these are all there are. A lease ends by the
// monotonic clock, which stands still while some systems sleep; as owner and store sleep together, neither can
// overtake the other.
package boltstate

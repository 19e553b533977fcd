// Package transfer is the form in which the content of one store goes to another: from the embedded store to Redis when one node is
// not enough any more, back, or to a backup.
//
//	store ─► Export ─► Writer ─► lines ─► Reader ─► Import ─► store
//
//	{"imapferry":"state","form":1,"store":"…"}
//	{"journal":{"node":"…","posted":true}}     a node of the roster, and whether the content has all that its journal knows
//	{"user":{…}}                               the record, and what a store keeps beside it
//	{"folder":{"name":"…","packed":"…"}}       of the user before; base64, since names are any bytes
//	{"exception":{"key":"…","packed":{…}}}     of the user before
//	{"claim":{"token":"…","user":"…"}}
//	{"end":{"journals":…,"users":…,"folders":…,"exceptions":…,"claims":…,"sha256":"…"}}
//
// Nothing is in memory but a line, whatever the number of users. The last line counts what is before it and has its digest, so a file that was cut
// short or changed is refused.
//
// # Why nodes must be stopped
//
// A consistent look at a Redis under way could be had, but would be of no use: a switch that comes after it is missing in the new
// store, which would send that user back to the source (I7). So Export refuses while a node lives or a user is leased, looks again at
// the end whether a node has joined meanwhile, and writes no last line then.
//
// # What goes along
//
// Everything that does not belong to a process, as it is, the epochs too (I6). A user in cutover stays in cutover. One who is
// committing goes on committing, and the worker that takes him over switches him; nobody sends him to the source before (I3). For
// any other the new epoch of that worker makes the attempt void, and it calls it off. So both are what they are after a restart of the embedded store.
//
// The id goes along too: the content is the same one, and the nodes' journals belong to it. A node needs no adopt then. With a new id it
// would refuse to start until an operator has decided which of the two is right.
//
// So does the roster, and no run is accepted: what was exported may be from a store that had lost switches, or be an old backup. A Redis that was
// filled is like one that was started again, and its records count when all nodes of the roster have posted (state.Journals). A file has
// one node and cannot wait for others, so it takes nothing to which a journal was yet to be posted. That one is of no roster: in the
// Redis to which its content goes, it has to start before the others to be waited for.
//
// # What is half done
//
// An import takes a mark in the place of the store's id before it writes anything, and the id takes that of the mark when all has been
// written and its end was read. No process opens a store with the mark, those that had opened it before find that its id is another
// one, and another import clears away what the first has left. A store that holds users without the mark is refused.
//
// Times are kept to the microsecond, as Redis keeps them.
package transfer

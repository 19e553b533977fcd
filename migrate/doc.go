// Package migrate brings one user's mailboxes from the source to the target, UID by UID, and switches the user when
// both are proven equal.
//
//	Offer ─► dispatch ─► worker (holds the lease) ─► lanes: source ──► target
//	                       │ prepare  pending ─► copying    can the user be moved at all? nothing is written
//	                       │ copy     copying ─► tailing    every folder once
//	                       │ tail     tailing               rounds, until one finds little and is quick
//	                       └ cutover  tailing ─► migrated   all nodes hold, last round, commit, switch
//
// # The UID is the key
//
// The copy of a message has the UID of the original, so what is left to do for a folder is the difference of two
// listings: UIDs, flags, dates. There is no table of pairs and no guess by header. An IMAP server gives UIDs in
// order, so messages are appended in order of UID into a folder that nobody else writes to; UIDs that the source does
// not use are taken by placeholders, which are expunged again, or skipped by the adapter. Every APPENDUID is compared
// with what was due. UIDVALIDITY follows when the UIDs are proven equal, and only then: a client that finds its
// UIDVALIDITY with other UIDs behind it would delete and mislabel mail.
//
// # What is ours in the target
//
// A worker writes only to a target whose contents it can explain (I4). What a folder held when it was last proven is
// in state.Folder, with the engine's note: all UIDs below Done are ours, and the batch that was about to take effect
// is listed message by message. The note is stored before the batch is committed, so that after a crash at any point
// the target itself tells how far the copy got, and what is found there can be told from other people's mail.
// Anything else holds the user with a reason.
//
// # Who owns what
//
// The Engine owns the users' secrets, in memory, and one goroutine that gives users to workers. A worker owns its
// lease, one goroutine that renews it, and its lanes; a lane is one connection to each server and works on one folder
// at a time. Losing the lease ends the worker's context, which closes its connections.
//
// # Verification
//
// Verify compares both sides at any time, beside a worker or without one; see there.
//
// # When something fails
//
// Every step can be repeated: a worker that fails forgets everything, and the next one compares anew. A server that
// cannot be asked is tried again with a growing pause; a refusal that trying again cannot mend holds the user (type
// hold); a password that does not work any more waits for the next login. A cutover that fails before its commit is
// called off and leaves everything as it was (I5).
package migrate

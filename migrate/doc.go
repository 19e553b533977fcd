// Package migrate brings one user's mailboxes from the source to the target, UID by UID, and switches the user when
// both are proven equal.
//
//	Offer ─► dispatch ─► worker (holds the lease) ─► lanes: source ──► target
//	                       │ prepare  pending ─► copying    can the user be moved at all? nothing is written
//	                       │ copy     copying ─► tailing    every folder once
//	                       │ tail     tailing               rounds, until one finds little and is quick
//	                       │ cutover  tailing ─► migrated   all nodes hold, last round, commit, switch
//	                       └ stragglers       migrated      what still comes into the source, pass after pass
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
// # Names, and what is left out
//
// All the engine knows folders by the source's names. The target's client translates them where commands are written and
// answers are read (type mapping); state.Folder.Target says what they are there. A view of each side leaves out the folders
// that the configuration excludes and those of others: they are in no survey, so nothing copies, compares or deletes them.
//
// # Who owns what
//
// The Engine owns the users' secrets, in memory, and one goroutine that gives users to workers. A worker owns its
// lease, one goroutine that renews it, and its lanes; a lane is one connection to each server and works on one folder
// at a time; what many small folders would wait for one by one, a lane waits for once for a group of them. Losing the
// lease ends the worker's context, which resets its connections; what else keeps a worker that was taken over from the target stands
// in takeover.go.
//
// # Who comes first, on all nodes
//
// A worker that is free takes whoever has logged in last on this node, whose secret is at hand. Where both servers are entered without
// it, it takes somebody who is due if there is none: one of those who have waited longest, by chance, since other nodes want the same
// ones. Before all others come users in cutover whose worker is gone (offerAbandoned): they cannot log in before the attempt is over, and
// to switch who is committed takes no secret.
//
// # Folders in which nothing has changed
//
// With CONDSTORE the survey tells which they are. Without, all flags are listed in each round, under the hold too; a folder that the
// source lists just as it did when it was proven equal under this lease is not looked at in the target again.
//
// # When a user is switched
//
// At once, while nobody looks, when an operator says so, or at night (policy). Who is ready and waits stays in tailing, with what is
// waited for as the reason, and is looked at again at growing distances, so that the target keeps up; an operator's release
// stands above it all, in the record. Sessions on this node are counted without asking anybody; those on others only by a hold, which
// their acknowledgements call off, so these looks are rare. Waiting is no failure, and logins of those who wait cost one read.
//
// # Beside mail
//
// Special uses, other people's rights and annotations are carried over once the tail has caught up, and not looked at under
// the hold. Subscriptions are part of every round, and so are folders in name only: those that are in the target because the source
// had them go when the source's go. A quota that the user does not fit into holds the user before the copy.
//
// # What clients were told
//
// Under the hold the last round does not rely on the source's word alone, which may be out of date where a source is
// replicated or caches: the nodes' acknowledgements tell which folders clients have changed of late, which are looked at
// again, and which UIDs they were told are stored, which must be there (hints).
//
// # After the switch
//
// The target leads, its UIDs go their own way, and what still arrives in the source comes as new mail (stragglers). A pass
// is due at once, then at growing distances until a grace period is over or the user is finalized; until then the engine
// keeps the users' secrets, on a shelf that costs nothing between passes. Nothing takes a migrated user back or holds
// one: what goes wrong is shown and tried again.
//
// # Verification
//
// Verify compares both sides at any time, beside a worker or without one; see there.
//
// # Exceptions
//
// What concerns single messages or folders does not stop the others. A message that the target refuses is looked for by
// halving the batch and sent alone in every way that keeps its bytes; else it is wrapped, or a note takes its UID. A message
// that the source cannot give becomes a note as well, if the source gives others at that time; if not, it is waited for. That,
// and dates, flags, bodies, subscriptions, folders and their attributes that cannot be kept, is recorded, excused by later
// comparisons, and looked at in the end: gate holds the user for what the operator has not allowed. Under the hold nothing is
// dealt with in this way: the cutover is called off. A folder stays behind only when it was refused under two
// leases. A source that shows nothing any more of what was copied holds the user.
//
// # When something fails
//
// Every step can be repeated: a worker that fails forgets everything, and the next one compares anew. A server that
// cannot be asked is tried again with a growing pause; a refusal that trying again cannot mend holds the user (type
// hold); a password that does not work any more waits for the next login. A cutover that fails before its commit is
// called off and leaves everything as it was (I5).
//
// # Where things are
//
//	engine, worker, takeover, steps, outcome   who is moved when, from phase to phase, and how a try ends
//	settings, claim, target             what is configured; whose mailbox it is; whether the user can log in at the target
//	records, note                       what is known of each folder, in memory and in the store
//	round, group, lane, pass            one look at all folders: shared out, compared, mended, copied
//	delta, diff, apply, rename, shells  what a pass goes by, and what it does beside copying
//	create, copy, fetch*, append        the hot path
//	prove, bodies, own, settle          what is proven equal, and what in the target is ours
//	policy, windows                     when the cutover may begin
//	cutover, hints                      under the hold
//	names*                              names at both servers, and folders that are left out
//	carry*, subscribe, quota            beside mail
//	exception*                          what cannot be kept as it was
//	straggler*, park                    after the switch; mail that was moved aside before it
//	verify*                             the comparison for operators
//	client, survey, mailbox, listing    one connection, and what it tells
//	adapter*                            how a kind of target makes equal UIDs
package migrate

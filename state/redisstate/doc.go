// Package redisstate keeps the state of users and nodes in Redis, for any number of nodes.
//
//	ferry:{07}:user:NAME     hash     the record; fields stand in record.go
//	ferry:{07}:holds:NAME    hash     node → 0 waited for, 1 has acknowledged, with its sessions and the folders touched; of the present attempt
//	ferry:{07}:folders:NAME  hash     folder name → state.Folder, packed
//	ferry:{07}:due           zset     users who wait for a worker, by the microsecond since when
//	ferry:{07}:phase:3       zset     users in a phase, by name; its size is the count
//	ferry:{07}:id            string   what tells this content of the store from another; the same in all shards
//	ferry:{07}:run           string   the run of the server that was accepted; see below
//	ferry:{07}:roster        hash     node name → the run to which it has posted its journal, "ready " and the run for which it is, "" or "gone"
//	ferry:{07}:op:ID         string   a Tally that was done, for a minute
//	ferry:{07}mark           string   what is written to be confirmed; other tags have it too
//	ferry:{nodes}:lives      hash     node name → incarnation, last beat, what it promises, when it joined
//	ferry:{nodes}:id         string   the same id
//	ferry:{nodes}:joins      string   how many incarnations have ever joined, by which an export knows that none came and went
//	ferry:{nodes}:run        string   as in the shards, and so is the roster
//	ferry:{claims}:TOKEN     string   user
//	ferry:{claims}import     string   of the last import, see import.go
//	ferry:changes            channel  users whose record has changed
//
// A user belongs to one of 64 shards by a hash of the name, and the shard's number is the hash tag of all keys that a
// transition touches. So each transition is one Lua script (scripts.go, script_cutover.go), whole or not at all, in a
// Cluster too. Time is the server's, taken in the script. Claims have a tag of their own, because a claim binds
// tokens of any number and users of any shard at once.
//
// # Which server
//
//	call.go, trip.go ──► directory.go: who is the master? ◄── sentinel.go or cluster.go; a Redis of its own always is
//	        └─► servers.go: a plain client for each server ──► script, and behind it confirm.go
//
// The client library can find masters too, but its Cluster client sends again by itself what may have been run, and its
// Sentinel client keeps to connections of a master that was deposed. So it gets single servers here, and repeats nothing.
// A redirection (MOVED, ASK), READONLY and TRYAGAIN are answers that nothing was run; they are followed. Whatever else
// goes wrong makes the directory ask again, of all Sentinels or servers at once, and believe the highest epoch. While a slot
// is moved to another master, Cluster runs no script on keys that are half there: its users have to wait.
//
// # Confirmation
//
// A master answers before its replicas know, and a deposed one answers all the same. With Options.Confirm each script is
// followed by a write and WAIT, on its connection: what it wrote is with so many replicas then, and what it read was no deposed
// master's, unless these replicas are deposed with it. Too few are an error, as if there had been no answer. All that leads a
// session or a worker anywhere is confirmed; lists and counts of users are not (glance). state/model/store.pml is the model of it: a
// read or write lasts there if its copy is not deposed when it is confirmed.
//
// # Lost replies
//
// When a connection breaks before the reply, it is not known whether the script ran; it is then repeated once with the same
// operation id, at whoever is the master by then. The record remembers the id, and a script that finds its own answers again
// and changes nothing; it is confirmed like any other. Renewals, reports, folders, acknowledgements and beats need no id: to
// repeat them changes nothing either. After a second failure the caller gets the error.
//
// # Cutovers and nodes
//
// Nodes and users have different tags, so no script sees both. The order keeps the contract, and rests on death being
// final: a node that is declared dead is deleted, and its Beat is refused ever after.
//
// Each process watches the beats of all nodes, by its own clock, whenever a script on nodes answers (observe.go); a node looks
// into its inbox every now and then, so it has seen them all along. One that has seen a beat stand still for long enough
// deletes its entry, if the beat is still that one. Until then a dead node is waited for.
//
//	BeginCutover   1. phase cutover is written   2. the live nodes are read   3. they are named in holds
//	Commit         1. the live nodes are read    2. refused if one of them is named and has not acknowledged
//	Acknowledge    1. the node is alive          2. its mark is set
//
// A node that joined before 1 of BeginCutover is found by 2 and named. One that joins after it reads the phase
// cutover before it sends a user anywhere. Until 3, Commit is refused, so a worker that dies in between leaves an
// attempt that can only be called off. In Commit a node may die between 1 and 2, then the commit waits needlessly
// once; none can come to life again. In Acknowledge it may die too, and the mark does no harm.
//
// Inbox reads the shards' sets of users in cutover, all in one round trip, and then these users' holds. Nothing is
// pushed that could be missed: a hold that is waited for is found.
//
// # What Redis can lose
//
// Redis is as durable as it is configured. Without an append-only file that is synced at every write, a crash loses
// writes that were answered, and with an eviction policy it may forget users; a replica that is promoted without having
// confirmed lacks writes that counted. Open looks at all that and warns (check.go).
//
// That records have become older nobody can tell from them. But it cannot happen without a start or a promotion, at which Redis makes
// itself a new replication id: that is its run. Every script that leads a session or a worker anywhere compares the server's run with the
// one that was accepted, which is kept beside the records, so a snapshot brings an older one along (script_trust.go). If they differ
// the answer is ErrUntrusted, until all nodes of the roster have posted their journals to the new run, whatever they knew being repaired:
// state.Journals. The last of them accepts it, in the same script. A planned restart is no exception, and costs a fleet whose nodes all
// live some hundred milliseconds; so does a slot that is moved to another master of a Cluster, where each shard has its own run and roster.
// The registry of nodes has both too: one that has come back older lacks nodes for which a cutover must wait, so none begins or commits
// until all have posted, which only the living can (countedScript, postScript).
//
// Nodes remember each other's names in their journals, since the roster comes back older as well. Limits: the name of a node that has never
// run before is known to the others after a third of their time to live, by a look at the roster beside the Beat; and who writes keys by
// hand (RESTORE) makes no new run.
//
// That everything is gone is found out: the store has an id in every shard, made by whoever opens it first (identity.go), and
// nothing is said of users who are not there, who are due, or of nodes, unless the id is still the one that the process knows. While the
// content of another store is imported, a mark stands in the place of the id.
//
// Watch is a hint by publish and subscribe, and misses what changes while its connection is down.
package redisstate

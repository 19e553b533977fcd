// Package redisstate keeps the state of users and nodes in Redis, for any number of nodes.
//
//	ferry:{07}:user:NAME     hash     the record; fields stand in record.go
//	ferry:{07}:holds:NAME    hash     node → 0 waited for, 1 has acknowledged; of the present attempt
//	ferry:{07}:folders:NAME  hash     folder name → state.Folder, packed
//	ferry:{07}:due           zset     users who wait for a worker, by the microsecond since when
//	ferry:{07}:phase:3       zset     users in a phase, by name; its size is the count
//	ferry:{07}:op:ID         string   a Tally that was done, for a minute
//	ferry:{nodes}:lives      hash     node name → until:incarnation
//	ferry:{claims}:TOKEN     string   user
//	ferry:changes            channel  users whose record has changed
//
// A user belongs to one of 64 shards by a hash of the name, and the shard's number is the hash tag of all keys that a transition touches. So
// each transition is one Lua script (scripts.go, script_cutover.go), whole or not at all, in a Cluster too. Time is the server's, taken in the script. Claims have a tag of
// their own, because a claim binds tokens of any number and users of any shard at once.
//
// # Lost replies
//
// The client never retries by itself. When a connection breaks before the reply, it is not known whether the script ran; it is then repeated once
// with the same operation id, which the record remembers, and a script that finds its own id answers again and changes nothing. Renewals,
// reports, folders, acknowledgements and beats need no id: to repeat them changes nothing either. After a second failure the caller gets the error.
//
// # Cutovers and nodes
//
// Nodes and users have different tags, so no script sees both. The order keeps the contract, and rests on death being final: a node
// whose time has passed is deleted by the next script that looks, and its Beat is refused ever after.
//
//	BeginCutover   1. phase cutover is written   2. the live nodes are read   3. they are named in holds
//	Commit         1. the live nodes are read    2. refused if one of them is named and has not acknowledged
//	Acknowledge    1. the node is alive          2. its mark is set
//
// A node that joined before 1 of BeginCutover is found by 2 and named. One that joins after it reads the phase cutover before it sends a user
// anywhere. Until 3, Commit is refused, so a worker that dies in between leaves an attempt that can only be called off. In Commit a node may die between 1 and 2,
// then the commit waits needlessly once; none can come to life again. In Acknowledge it may die too, and the mark does no harm.
//
// Inbox reads the shards' sets of users in cutover, all in one round trip, and then these users' holds. Nothing is pushed that could be missed: a hold
// that is waited for is found.
//
// # What Redis can lose
//
// Redis is as durable as it is configured. Without an append-only file that is synced at every write, a crash loses writes that were
// answered, and with an eviction policy it may forget users; Open looks at both and warns. A replica that is promoted may lack writes as well. That a record is
// older than what a node knows is for the node's journal to find out; this package reports what Redis says.
//
// Watch is a hint by publish and subscribe, and misses what changes while its connection is down.
package redisstate

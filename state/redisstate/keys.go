package redisstate

import (
	"fmt"
	"hash/fnv"
	"strings"

	"imapferry/state"
)

// shards is part of the layout: with another number no user would be found.
const shards = 64

const (
	livesKey       = "ferry:{nodes}:lives"
	nodesIDKey     = "ferry:{nodes}:id"
	nodesRunKey    = "ferry:{nodes}:run"
	nodesRosterKey = "ferry:{nodes}:roster"
	joinsKey       = "ferry:{nodes}:joins"

	changeChannel = "ferry:changes"
)

// shard returns the number of user's shard.
func shard(user string) int {
	h := fnv.New32a()
	h.Write([]byte(user))
	return int(h.Sum32() % shards)
}

// inShard returns a key of a shard.
func inShard(n int, name string) string { return fmt.Sprintf("ferry:{%02d}:%s", n, name) }

func dueKey(shard int) string { return inShard(shard, "due") }

func phaseKey(shard int, p state.Phase) string { return inShard(shard, fmt.Sprintf("phase:%d", p)) }

// phaseKeys returns the keys of all phases, in the order of their numbers.
func phaseKeys(shard int) []string {
	keys := make([]string, len(state.Phases))
	for _, p := range state.Phases {
		keys[p-1] = phaseKey(shard, p)
	}
	return keys
}

func recordKey(user string) string  { return inShard(shard(user), "user:"+user) }
func holdsKey(user string) string   { return inShard(shard(user), "holds:"+user) }
func foldersKey(user string) string { return inShard(shard(user), "folders:"+user) }

// userKeys returns what every transition of a user gets as KEYS; the prelude of the scripts names them.
func userKeys(user string) []string {
	n := shard(user)
	keys := append([]string{recordKey(user), dueKey(n), holdsKey(user), foldersKey(user)}, phaseKeys(n)...)
	return append(keys, runKey(n))
}

// runKey returns the key of the run that was accepted in a shard.
func runKey(n int) string { return inShard(n, "run") }

// idKey returns the key of the store's id in user's shard.
func idKey(user string) string { return inShard(shard(user), "id") }

// readKeys returns what reading a record needs.
func readKeys(user string) []string {
	return []string{recordKey(user), idKey(user), runKey(shard(user))}
}

// offerKeys adds the key that tells whether the user can be a new one.
func offerKeys(user string) []string { return append(userKeys(user), idKey(user)) }

// tallyKeys adds the key by which a repeated Tally is known.
func tallyKeys(user, op string) []string {
	return append(userKeys(user), inShard(shard(user), "op:"+op))
}

// claimsPrefix begins the keys of all tokens, and no others.
const claimsPrefix = "ferry:{claims}:"

// claimKey returns the key of a token.
func claimKey(token string) string { return claimsPrefix + token }

// claimsImportKey has the mark of an import, as the ids of the shards have it.
const claimsImportKey = "ferry:{claims}import"

// nodeID is a node as a field of a user's holds. A name has no control character, so this is unique.
func nodeID(n state.Node) string { return n.Name + "\x00" + n.Incarnation }

// markKey returns what is written to confirm an answer about key: another key of the same slot, and no token's.
func markKey(key string) string { return beside(key, "mark") }

// nothingKey returns a key in the slot of key that nobody ever writes.
func nothingKey(key string) string { return beside(key, "nothing") }

func beside(key, name string) string {
	tag, _, _ := strings.Cut(key, "}")
	return tag + "}" + name
}

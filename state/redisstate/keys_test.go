package redisstate

import (
	"strings"
	"testing"
)

// tag returns what Cluster hashes of a key.
func tag(key string) string {
	_, rest, _ := strings.Cut(key, "{")
	in, _, _ := strings.Cut(rest, "}")
	return in
}

// All keys of a script are in one slot, whatever the user is called, else Cluster refuses it.
func TestKeysShareASlot(t *testing.T) {
	for _, user := range []string{"alice", "", "{", "}", "{}", "{99}", "a}b{c", "ferry:{07}:due"} {
		keys := tallyKeys(user, "op")
		if len(keys) != 13 {
			t.Errorf("%q has %d keys; the scripts count on 13", user, len(keys))
		}
		for _, k := range keys {
			if tag(k) != tag(keys[0]) || len(tag(k)) != 2 {
				t.Errorf("%q: %s is not in the slot of %s", user, k, keys[0])
			}
		}
	}
	if a, b := claimKey("{1}"), claimKey("x"); tag(a) != tag(b) {
		t.Errorf("%s and %s are in different slots", a, b)
	}
}

// The layout is for ever: a user must be found by the next version too.
func TestKeysAreStable(t *testing.T) {
	if got, want := recordKey("alice@a.example"), "ferry:{08}:user:alice@a.example"; got != want {
		t.Errorf("record key is %s, want %s", got, want)
	}
}

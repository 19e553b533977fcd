package redisstate

import "testing"

// The values are those of CLUSTER KEYSLOT.
func TestSlotOf(t *testing.T) {
	for key, want := range map[string]int{
		"ferry:{00}:id": 13254, "ferry:{63}:user:x}": 10499, "ferry:{nodes}:lives": 9928, "x:{123456789}": 12739,
	} {
		if got := slotOf(key); got != want {
			t.Errorf("the slot of %s is %d, want %d", key, got, want)
		}
	}
}

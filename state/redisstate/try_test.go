package redisstate_test

import (
	"slices"
	"strings"
	"testing"

	"imapferry/state/redisstate"
)

// writes returns how many there were to all masters, by their own count.
func (f *fleet) writes(t *testing.T) (all []string) {
	t.Helper()
	for _, r := range f.masters(t) {
		v, err := r.Do("INFO", "persistence")
		must(t, err)
		for line := range strings.Lines(v.(string)) {
			if strings.HasPrefix(line, "rdb_changes_since_last_save:") {
				all = append(all, line)
			}
		}
	}
	return all
}

// To try a Redis changes nothing in it, on all kinds, whether there is a store or not; and tells which.
func TestTryWritesNothing(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f := k.start(t)
			try := func(want bool) {
				t.Helper()
				before := f.writes(t)
				used, err := redisstate.Try(t.Context(), f.url, f.options())
				must(t, err)
				if after := f.writes(t); !slices.Equal(before, after) {
					t.Errorf("there were writes: %q, then %q", before, after)
				}
				if used != want {
					t.Errorf("there is a store: %v, want %v", used, want)
				}
			}
			try(false)
			if keys := f.keys(t); len(keys) > 0 {
				t.Errorf("a new Redis has %q", keys)
			}
			f.open(t)
			try(true)
		})
	}
}

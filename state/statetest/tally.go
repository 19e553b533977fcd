package statetest

import (
	"fmt"
	"maps"
	"strings"

	"imapferry/state"
)

// wantEnded fails the test unless the record of user counts exactly this.
func (r *rig) wantEnded(what, user string, moved, disconnected int64, ended map[string]int64) {
	r.Helper()
	if rec := r.get(user); rec.Moved != moved || rec.Disconnected != disconnected || !maps.Equal(rec.Ended, ended) {
		r.Errorf("%s: moved %d, disconnected %d, ended %v; want %d, %d, %v", what, rec.Moved, rec.Disconnected, rec.Ended, moved, disconnected, ended)
	}
}

func testTally(r *rig) {
	tally := func(moved int64, ended map[string]int64) error { return r.Store.Tally(r.ctx, "alice", moved, ended) }
	r.want("tally of an unknown user", r.Store.Tally(r.ctx, "nobody", 1, nil), state.ErrUnknown)
	r.bring("alice", state.Migrated)
	before := r.get("alice")
	r.must(tally(0, nil))
	r.must(tally(0, map[string]int64{"view": 0}))
	if !same(r.get("alice"), before) {
		r.Errorf("to count nothing changed %+v to %+v", before, r.get("alice"))
	}
	r.must(tally(3, nil))
	r.must(tally(1, map[string]int64{"view": 2, "in-doubt": 1}))
	r.must(tally(0, map[string]int64{"view": 1, "x-2": 1}))
	r.wantEnded("three times", "alice", 4, 5, map[string]int64{"view": 3, "in-doubt": 1, "x-2": 1})
	r.want("tally of less than nothing moved", tally(-1, nil), state.ErrInvalid)
	for _, reason := range []string{"", "View", "a b", "a:b", "é", "a\x00", strings.Repeat("a", state.MaxEndedWord+1)} {
		r.want(fmt.Sprintf("reason %.10q", reason), tally(1, map[string]int64{reason: 1, "view": 1}), state.ErrInvalid)
	}
	r.want("tally of less than nothing ended", tally(1, map[string]int64{"view": -1}), state.ErrInvalid)
	r.wantEnded("after refused ones", "alice", 4, 5, map[string]int64{"view": 3, "in-doubt": 1, "x-2": 1})
	r.together(20, func(int) error { return tally(1, map[string]int64{"view": 1}) })
	r.wantEnded("after 20 at once", "alice", 24, 25, map[string]int64{"view": 23, "in-doubt": 1, "x-2": 1})
}

// However many reasons there are, a record keeps few of them, and every session is counted.
func testTallyMany(r *rig) {
	r.bring("alice", state.Migrated)
	long := strings.Repeat("z", state.MaxEndedWord)
	want := map[string]int64{"a-00": 2, long: 1}
	r.must(r.Store.Tally(r.ctx, "alice", 0, map[string]int64{"a-00": 1, long: 1}))
	many := map[string]int64{}
	for i := range state.MaxEnded {
		reason := fmt.Sprintf("a-%02d", i)
		many[reason] = 1
		if i > 0 && len(want) < state.MaxEnded-1 {
			want[reason] = 1
		}
	}
	r.must(r.Store.Tally(r.ctx, "alice", 0, many))
	want[state.EndedOther] = 2
	r.wantEnded("one more than has room, twice", "alice", 0, state.MaxEnded+2, want)
	r.must(r.Store.Tally(r.ctx, "alice", 0, map[string]int64{state.EndedOther: 1, "a-01": 1, "b": 1}))
	want[state.EndedOther] += 2
	want["a-01"]++
	r.wantEnded("later", "alice", 0, state.MaxEnded+5, want)

	r.bring("bob", state.Migrated)
	r.must(r.Store.Tally(r.ctx, "bob", 0, map[string]int64{state.EndedOther: 1}))
	delete(many, "a-15")
	r.must(r.Store.Tally(r.ctx, "bob", 0, many))
	want = maps.Clone(many)
	want[state.EndedOther] = 1
	r.wantEnded("as many as have room", "bob", 0, state.MaxEnded, want)
}

package statetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"imapferry/state"
)

// wantTouched fails the test unless the acknowledgements of the attempt tell exactly this.
func (r *rig) wantTouched(what, user, attempt string, want ...state.Touched) {
	r.Helper()
	got, err := r.Store.Touched(r.ctx, user, attempt)
	r.must(err)
	byText := func(a, b state.Touched) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	slices.SortFunc(got, byText)
	want = slices.SortedFunc(slices.Values(want), byText)
	if !slices.Equal(got, want) {
		r.Errorf("%s: touched are %v, want %v", what, got, want)
	}
}

// What the relays have passed on reaches the worker whole, from all nodes, and belongs to one attempt (I1).
func testTouched(r *rig) {
	n1, n2 := r.join("n1"), r.join("n2")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	r.wantTouched("nobody has acknowledged", "alice", "x")
	inbox := state.Touched{Folder: "INBOX", Age: 3 * time.Second, UIDValidity: 1<<32 - 1, UID: 1<<32 - 2}
	odd := state.Touched{Folder: "caf\xe9 \"&-\r\n", Age: 1<<63 - 1, Gone: true}
	other := state.Touched{Folder: "INBOX", Age: 1}
	rest := state.Touched{UID: 1}
	r.must(r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 0, []state.Touched{inbox, odd, rest}))
	r.wantTouched("one has acknowledged", "alice", "x", inbox, odd, rest)
	r.must(r.Store.Acknowledge(r.ctx, n2, hold(l, "x"), 0, []state.Touched{other}))
	r.wantTouched("both have acknowledged", "alice", "x", inbox, odd, rest, other)
	r.must(r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 0, []state.Touched{odd}))
	r.wantTouched("acknowledged again", "alice", "x", odd, other)
	r.must(r.Store.Leave(r.ctx, n2))
	r.wantTouched("a node has left", "alice", "x", odd, other)
	r.want("acknowledge another attempt", r.Store.Acknowledge(r.ctx, n1, hold(l, "y"), 0, []state.Touched{inbox}), state.ErrPhase)
	r.wantTouched("another attempt was acknowledged", "alice", "x", odd, other)
	_, err := r.Store.Touched(r.ctx, "alice", "y")
	r.want("touched of another attempt", err, state.ErrPhase)

	r.must(r.Store.CallOff(r.ctx, l, "x", ""))
	_, err = r.Store.Touched(r.ctx, "alice", "x")
	r.want("touched of an attempt that is over", err, state.ErrPhase)
	l = r.begin(l, "x")
	r.wantTouched("the next attempt", "alice", "x")
	r.must(r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 0, nil))
	r.must(r.Store.Commit(r.ctx, l, "x"))
	r.wantTouched("nothing was touched", "alice", "x")
}

// wantSessions fails the test unless the acknowledgements of the attempt tell of exactly these sessions.
func (r *rig) wantSessions(what, user, attempt string, want map[state.Node]int) {
	r.Helper()
	got, err := r.Store.Sessions(r.ctx, user, attempt)
	r.must(err)
	if !maps.Equal(got, want) {
		r.Errorf("%s: sessions are %v, want %v", what, got, want)
	}
}

// Who waits for a user without sessions hears of those on all nodes, of this attempt alone.
func testSessions(r *rig) {
	n1, n2, n3 := r.join("n1"), r.join("n:2"), r.join("n3")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	r.wantSessions("nobody has acknowledged", "alice", "x", nil)
	r.must(r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 2, []state.Touched{{Folder: "a:1:"}}))
	r.must(r.Store.Acknowledge(r.ctx, n3, hold(l, "x"), 0, []state.Touched{{Folder: "9:"}}))
	r.wantSessions("two have acknowledged", "alice", "x", map[state.Node]int{n1: 2})
	r.must(r.Store.Acknowledge(r.ctx, n2, hold(l, "x"), 1<<31-1, nil))
	r.wantSessions("all have acknowledged", "alice", "x", map[state.Node]int{n1: 2, n2: 1<<31 - 1})
	r.wantTouched("beside sessions", "alice", "x", state.Touched{Folder: "a:1:"}, state.Touched{Folder: "9:"})
	r.must(r.Store.Acknowledge(r.ctx, n2, hold(l, "x"), 0, nil))
	r.wantSessions("acknowledged again", "alice", "x", map[state.Node]int{n1: 2})
	r.want("less than none", r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), -1, nil), state.ErrInvalid)
	r.wantSessions("after a refused one", "alice", "x", map[state.Node]int{n1: 2})
	_, err := r.Store.Sessions(r.ctx, "alice", "y")
	r.want("sessions of another attempt", err, state.ErrPhase)
	_, err = r.Store.Sessions(r.ctx, "nobody", "x")
	r.want("sessions of nobody", err, state.ErrUnknown)

	r.must(r.Store.CallOff(r.ctx, l, "x", ""))
	_, err = r.Store.Sessions(r.ctx, "alice", "x")
	r.want("sessions of an attempt that is over", err, state.ErrPhase)
	r.begin(l, "x")
	r.wantSessions("the next attempt", "alice", "x", nil)
}

func testTouchedInvalid(r *rig) {
	n := r.join("n")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	most := make([]state.Touched, state.MaxTouched)
	for i := range most {
		most[i] = state.Touched{Folder: fmt.Sprint(i)}
	}
	for _, c := range []struct {
		name string
		list []state.Touched
	}{
		{"too many", append(slices.Clone(most), state.Touched{})},
		{"a long name", []state.Touched{{Folder: strings.Repeat("a", state.MaxFolder+1)}}},
		{"a time to come", []state.Touched{{Age: -1}}},
	} {
		r.want(c.name, r.Store.Acknowledge(r.ctx, n, hold(l, "x"), 0, c.list), state.ErrInvalid)
	}
	r.wantWaiting("after refused acknowledgements", "alice", "x", n)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(l, "x"), 0, most))
	r.wantTouched("as many as there may be", "alice", "x", most...)
}

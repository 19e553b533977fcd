package statetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"imapferry/state"
)

func (r *rig) wantLive(what string, want ...state.Node) {
	r.Helper()
	got, err := r.Store.Live(r.ctx)
	r.must(err)
	slices.SortFunc(got, func(a, b state.Node) int { return cmp.Compare(a.Name, b.Name) })
	if !slices.Equal(got, want) {
		r.Errorf("%s: live nodes are %v, want %v", what, got, want)
	}
}

func testNodes(r *rig) {
	r.wantLive("none")
	a := r.join("a")
	b := r.join("b {07}")
	if a.Name != "a" || a.Incarnation == "" || a.Incarnation == b.Incarnation {
		r.Errorf("joined: %+v, %+v", a, b)
	}
	r.wantLive("two", a, b)
	r.must(r.Store.Beat(r.ctx, a, Short))
	r.outlast()
	r.wantLive("a is dead", b)
	r.want("beat of the dead", r.Store.Beat(r.ctx, a, Long), state.ErrFenced)
	r.must(r.Store.Leave(r.ctx, a))

	a2 := r.join("a")
	if a2.Incarnation == a.Incarnation {
		r.Error("an incarnation was used twice")
	}
	r.want("beat of the former incarnation", r.Store.Beat(r.ctx, a, Long), state.ErrFenced)
	r.must(r.Store.Leave(r.ctx, a)) // which must not end the new one
	r.wantLive("a is back", a2, b)
	r.must(r.Store.Beat(r.ctx, a2, Short))
	r.must(r.Store.Beat(r.ctx, a2, Long))
	r.outlast()
	r.wantLive("extended", a2, b)
	r.must(r.Store.Leave(r.ctx, b))
	r.must(r.Store.Leave(r.ctx, b))
	r.wantLive("b has left", a2)
	r.want("beat of one that left", r.Store.Beat(r.ctx, b, Long), state.ErrFenced)
	_, err := r.Store.Inbox(r.ctx, b)
	r.want("inbox of one that left", err, state.ErrFenced)
}

// wantTaken fails the test unless a name is refused because of node has.
func (r *rig) wantTaken(what string, has state.Node, err error) {
	r.Helper()
	var taken *state.Taken
	if !errors.As(err, &taken) {
		r.Errorf("%s: %v", what, err)
	} else if taken.Node != has || taken.Since.IsZero() || taken.TTL != Long || taken.Left() > Long+state.Margin(Long) || !strings.Contains(err.Error(), has.Name) {
		r.Errorf("%s: %+v (%v)", what, taken, err)
	}
}

// Two processes under one name would each take the other's sessions for their own: the second must wait until the first has left or
// is dead (I3). A process may replace what it was itself.
func testJoinTaken(r *rig) {
	first := r.join("n")
	_, err := r.Store.Join(r.ctx, "n", Short)
	r.wantTaken("another process has the name", first, err)
	_, err = r.Store.Join(r.ctx, "n", Short, "made up")
	r.wantTaken("and is none of the caller's", first, err)
	r.wantLive("refused", first)
	r.must(r.Store.Beat(r.ctx, first, Long))

	own, err := r.Store.Join(r.ctx, "n", Long, "made up", first.Incarnation)
	r.must(err)
	r.wantLive("replaced", own)
	r.want("beat of what it was", r.Store.Beat(r.ctx, first, Long), state.ErrFenced)
	_, err = r.Store.Join(r.ctx, "n", Long, first.Incarnation)
	r.wantTaken("a Join that was given up, and comes late", own, err)

	r.must(r.Store.Leave(r.ctx, own))
	next := r.join("n")
	r.must(r.Store.Beat(r.ctx, next, Short))
	r.outlast()
	last := r.join("n")
	r.wantLive("the one before is dead", last)
	r.want("beat of the dead", r.Store.Beat(r.ctx, next, Long), state.ErrFenced)
}

// A node that has missed its beats would keep a user's sessions waiting for nothing, cutover after cutover, until it is known to be dead.
func testSilent(r *rig) {
	const ttl = 2 * time.Second
	n := r.join("n")
	l := r.bring("alice", state.Tailing)
	r.must(r.Store.Beat(r.ctx, n, ttl))
	r.Pass(state.SilentBeyond(ttl) + time.Millisecond)
	before := r.get("alice")
	_, _, err := r.Store.BeginCutover(r.ctx, l, "x", Long)
	var silent *state.Silent
	if !errors.As(err, &silent) || silent.Node != "n" || silent.For < state.SilentBeyond(ttl) || !strings.Contains(err.Error(), "node n has not been heard of for ") {
		r.Errorf("begin while n is silent: %v", err)
	}
	if !same(r.get("alice"), before) {
		r.Error("a refused cutover changed the record")
	}
	r.wantInbox("refused", n)

	r.must(r.Store.Beat(r.ctx, n, ttl))
	l = r.begin(l, "x")
	r.wantWaiting("n was heard of", "alice", "x", n)
	r.must(r.Store.CallOff(r.ctx, l, "x", ""))
	r.Pass(ttl + state.Margin(ttl) + time.Millisecond)
	r.begin(l, "y")
	r.wantWaiting("n is dead", "alice", "y")
}

func testNodesInvalid(r *rig) {
	for _, name := range []string{"", "a\nb", "a\x00b", strings.Repeat("n", 1024)} {
		_, err := r.Store.Join(r.ctx, name, Long)
		r.want(fmt.Sprintf("join %.10q", name), err, state.ErrInvalid)
	}
	_, err := r.Store.Join(r.ctx, "n", 0)
	r.want("join for no time", err, state.ErrInvalid)
	n := r.join("n")
	r.want("beat for no time", r.Store.Beat(r.ctx, n, 0), state.ErrInvalid)
	r.want("beat of nothing", r.Store.Beat(r.ctx, state.Node{}, Long), state.ErrFenced)
	r.wantLive("after odd calls", n)
}

// A node that joins while a cutover begins either reads the phase cutover or is waited for: no session slips through
// between (I3).
func testJoinRacesCutover(r *rig) {
	const rounds, many = 10, 8
	for round := range rounds {
		l := r.bring("alice", state.Tailing)
		attempt := fmt.Sprintf("try%d", round)
		var begun state.Lease
		var mu sync.Mutex
		var unaware []state.Node // read another phase than cutover after they joined
		r.together(many+1, func(i int) (err error) {
			if i == 0 {
				begun, _, err = r.Store.BeginCutover(r.ctx, l, attempt, Long)
				return err
			}
			n, err := r.Store.Join(r.ctx, fmt.Sprintf("n%d-%d", round, i), Long)
			if err != nil {
				return err
			}
			rec, err := r.Store.Get(r.ctx, "alice")
			if rec.Phase != state.Cutover {
				mu.Lock()
				unaware = append(unaware, n)
				mu.Unlock()
			}
			return err
		})
		waiting, err := r.Store.Waiting(r.ctx, "alice", attempt)
		r.must(err)
		for _, n := range unaware {
			if !slices.Contains(waiting, n) {
				r.Errorf("round %d: %s joined, read that the source serves, and is not waited for", round, n.Name)
			}
			r.wantInbox("unaware", n, hold(begun, attempt))
		}
		r.must(r.Store.CallOff(r.ctx, begun, attempt, ""))
		r.must(r.Store.Release(r.ctx, begun))
	}
}

package statetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

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

// A node that joins while a cutover begins either reads the phase cutover or is waited for: no session slips through between (I3).
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

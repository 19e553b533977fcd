package statetest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"imapferry/state"
)

// wantWaiting fails the test unless the attempt waits for exactly these nodes.
func (r *rig) wantWaiting(what, user, attempt string, want ...state.Node) {
	r.Helper()
	got, err := r.Store.Waiting(r.ctx, user, attempt)
	r.must(err)
	byName := func(a, b state.Node) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(got, byName)
	if !slices.Equal(got, want) {
		r.Errorf("%s: waiting for %v, want %v", what, got, want)
	}
}

// wantInbox fails the test unless n has exactly these holds.
func (r *rig) wantInbox(what string, n state.Node, want ...state.Hold) {
	r.Helper()
	got, err := r.Store.Inbox(r.ctx, n)
	r.must(err)
	slices.SortFunc(got, func(a, b state.Hold) int { return cmp.Compare(a.User, b.User) })
	if !slices.Equal(got, want) {
		r.Errorf("%s: inbox of %s is %v, want %v", what, n.Name, got, want)
	}
}

func hold(l state.Lease, attempt string) state.Hold {
	return state.Hold{User: l.User, Epoch: l.Epoch, Attempt: attempt}
}

// The whole switch over two nodes, with everything that may be seen on the way.
func testCutover(r *rig) {
	n1, n2 := r.join("n1"), r.join("n2")
	l := r.bring("alice", state.Tailing)
	_, err := r.Store.Advance(r.ctx, l, state.Tailing, state.Change{Reason: "waits for the window", Retry: Long})
	r.must(err)
	r.wantInbox("before", n1)

	l, rec, err := r.Store.BeginCutover(r.ctx, l, "x", Long)
	r.must(err)
	if rec.Phase != state.Cutover || rec.Attempt != "x" || rec.Committing || rec.Reason != "" || rec.Epoch != l.Epoch || rec.Owner != "w" || rec.Deadline.Sub(rec.Created) < Long {
		r.Errorf("begun: %+v", rec)
	}
	if !same(rec, r.get("alice")) {
		r.Error("begin returned something else than the record")
	}
	r.wantWaiting("begun", "alice", "x", n1, n2)
	r.wantInbox("begun", n1, hold(l, "x"))
	r.wantInbox("begun", n2, hold(l, "x"))
	r.want("commit before all have acknowledged", r.Store.Commit(r.ctx, l, "x"), state.ErrWaiting)

	r.must(r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 0, nil))
	r.must(r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 0, nil))
	r.wantWaiting("one acknowledged", "alice", "x", n2)
	r.wantInbox("acknowledged", n1)
	r.wantInbox("not acknowledged", n2, hold(l, "x"))
	r.want("commit before all have acknowledged", r.Store.Commit(r.ctx, l, "x"), state.ErrWaiting)
	r.must(r.Store.Acknowledge(r.ctx, n2, hold(l, "x"), 0, nil))
	r.wantWaiting("both acknowledged", "alice", "x")

	r.must(r.Store.Commit(r.ctx, l, "x"))
	if rec := r.get("alice"); !rec.Committing || rec.Phase != state.Cutover {
		r.Errorf("committed: %+v", rec)
	}
	rec, err = r.Store.Switch(r.ctx, l, "x", 1234*time.Millisecond)
	r.must(err)
	if rec.Phase != state.Migrated || rec.Committing || rec.Migrated.IsZero() || rec.HoldMS != 1234 || rec.Attempts != 0 || !rec.NextTry.Equal(rec.Migrated) || rec.Attempt != "x" || rec.Epoch != l.Epoch {
		r.Errorf("switched: %+v", rec)
	}
	if !same(rec, r.get("alice")) {
		r.Error("switch returned something else than the record")
	}
	r.wantInbox("over", n1)
	_, err = r.Store.Waiting(r.ctx, "alice", "x")
	r.want("waiting after the switch", err, state.ErrPhase)
	r.want("acknowledge after the switch", r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 0, nil), state.ErrPhase)
	r.must(r.Store.Renew(r.ctx, l, Long)) // for the stragglers
}

func testCutoverInvalid(r *rig) {
	for _, p := range state.Phases {
		if p == state.Tailing {
			continue
		}
		_, _, err := r.Store.BeginCutover(r.ctx, r.bring(p.String(), p), "y", Long)
		r.want("begin from "+p.String(), err, state.ErrPhase)
	}
	l := r.bring("alice", state.Tailing)
	for _, attempt := range []string{"", "a\nb", strings.Repeat("a", 1024)} {
		_, _, err := r.Store.BeginCutover(r.ctx, l, attempt, Long)
		r.want("begin with an odd attempt", err, state.ErrInvalid)
	}
	_, _, err := r.Store.BeginCutover(r.ctx, l, "x", 0)
	r.want("begin without budget", err, state.ErrInvalid)
	if rec := r.get("alice"); rec.Phase != state.Tailing || rec.Epoch != l.Epoch {
		r.Errorf("refused cutovers changed the record: %+v", rec)
	}
}

// An acknowledgement of one attempt says nothing of the next.
func testCutoverAgain(r *rig) {
	n := r.join("n")
	first := r.begin(r.bring("alice", state.Tailing), "x")
	r.must(r.Store.Acknowledge(r.ctx, n, hold(first, "x"), 0, nil))
	r.must(r.Store.CallOff(r.ctx, first, "x", "the last pass took too long"))
	second := r.begin(first, "y")
	r.wantWaiting("second attempt", "alice", "y", n)
	r.wantInbox("second attempt", n, hold(second, "y"))
	r.want("acknowledge the first", r.Store.Acknowledge(r.ctx, n, hold(first, "x"), 0, nil), state.ErrPhase)
	r.want("commit the first", r.Store.Commit(r.ctx, second, "x"), state.ErrPhase)
	r.want("call off the first", r.Store.CallOff(r.ctx, second, "x", ""), state.ErrPhase)
	r.want("commit", r.Store.Commit(r.ctx, second, "y"), state.ErrWaiting)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(second, "y"), 0, nil))
	r.must(r.Store.CallOff(r.ctx, second, "y", ""))

	third := r.begin(second, "x") // an id used twice: the epoch tells them apart
	r.want("acknowledge with the first epoch", r.Store.Acknowledge(r.ctx, n, hold(first, "x"), 0, nil), state.ErrPhase)
	r.wantWaiting("third attempt", "alice", "x", n)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(third, "x"), 0, nil))
	r.must(r.Store.Commit(r.ctx, third, "x"))
}

func testAcknowledge(r *rig) {
	n := r.join("n")
	tailing := r.bring("bob", state.Tailing)
	r.want("nothing is under way", r.Store.Acknowledge(r.ctx, n, hold(tailing, "x"), 0, nil), state.ErrPhase)
	l := r.begin(r.bring("alice", state.Tailing), "x")
	for _, c := range []struct {
		name string
		node state.Node
		hold state.Hold
		want error
	}{
		{"another attempt", n, state.Hold{User: "alice", Epoch: l.Epoch, Attempt: "y"}, state.ErrPhase},
		{"no attempt", n, state.Hold{User: "alice", Epoch: l.Epoch}, state.ErrPhase},
		{"an older epoch", n, state.Hold{User: "alice", Epoch: l.Epoch - 1, Attempt: "x"}, state.ErrPhase},
		{"a newer epoch", n, state.Hold{User: "alice", Epoch: l.Epoch + 1, Attempt: "x"}, state.ErrPhase},
		{"another incarnation", state.Node{Name: "n", Incarnation: "made up"}, hold(l, "x"), state.ErrFenced},
		{"a node never seen", state.Node{Name: "m", Incarnation: n.Incarnation}, hold(l, "x"), state.ErrFenced},
		{"no node", state.Node{}, hold(l, "x"), state.ErrFenced},
	} {
		r.want(c.name, r.Store.Acknowledge(r.ctx, c.node, c.hold, 0, nil), c.want)
	}
	r.wantWaiting("after odd acknowledgements", "alice", "x", n)
	_, err := r.Store.Waiting(r.ctx, "alice", "y")
	r.want("waiting for another attempt", err, state.ErrPhase)
}

// A node that dies is not waited for any more, and cannot come back to say that it is still there (I3).
func testNodeDies(r *rig) {
	n1, n2 := r.join("n1"), r.join("n2")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	r.must(r.Store.Acknowledge(r.ctx, n1, hold(l, "x"), 0, nil))
	r.wantWaiting("both live", "alice", "x", n2)
	r.must(r.Store.Beat(r.ctx, n2, Short))
	r.outlast()
	r.wantWaiting("n2 is dead", "alice", "x")
	r.want("beat of the dead", r.Store.Beat(r.ctx, n2, Long), state.ErrFenced)
	r.want("acknowledgement of the dead", r.Store.Acknowledge(r.ctx, n2, hold(l, "x"), 0, nil), state.ErrFenced)
	_, err := r.Store.Inbox(r.ctx, n2)
	r.want("inbox of the dead", err, state.ErrFenced)
	r.must(r.Store.Commit(r.ctx, l, "x"))
}

func testNodeLeaves(r *rig) {
	n1, n2 := r.join("n1"), r.join("n2")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	r.must(r.Store.Leave(r.ctx, n1))
	r.wantWaiting("n1 has left", "alice", "x", n2)
	r.want("commit", r.Store.Commit(r.ctx, l, "x"), state.ErrWaiting)
	r.must(r.Store.Leave(r.ctx, n2))
	r.must(r.Store.Commit(r.ctx, l, "x"))
}

// A process that joins anew has ended what it was, so the new incarnation need not acknowledge for it.
func testNodeReplaced(r *rig) {
	old := r.join("n")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	fresh, err := r.Store.Join(r.ctx, "n", Long, old.Incarnation)
	r.must(err)
	r.wantWaiting("replaced", "alice", "x")
	r.wantInbox("replaced", fresh)
	r.want("beat of the old one", r.Store.Beat(r.ctx, old, Long), state.ErrFenced)
	r.want("acknowledgement of the old one", r.Store.Acknowledge(r.ctx, old, hold(l, "x"), 0, nil), state.ErrFenced)
	r.must(r.Store.Acknowledge(r.ctx, fresh, hold(l, "x"), 0, nil))
	r.must(r.Store.Commit(r.ctx, l, "x"))
}

func testNodeJoinsLater(r *rig) {
	n := r.join("n")
	l := r.begin(r.bring("alice", state.Tailing), "x")
	late := r.join("late")
	if rec := r.get("alice"); rec.Phase != state.Cutover {
		r.Errorf("a node that joins later reads %v", rec.Phase)
	}
	r.wantWaiting("joined later", "alice", "x", n)
	r.wantInbox("joined later", late)
	r.must(r.Store.Acknowledge(r.ctx, n, hold(l, "x"), 0, nil))
	r.must(r.Store.Commit(r.ctx, l, "x"))
}

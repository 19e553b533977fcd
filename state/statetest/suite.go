package statetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"imapferry/state"
)

// Long outlasts every test; Short is what Harness.Pass can wait for.
const (
	Long  = time.Hour
	Short = 40 * time.Millisecond
)

// firstTry is the attempt that bring makes.
const firstTry = "first try"

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// Harness is a fresh store and what a test does to it from outside.
type Harness struct {
	Store state.Store
	// Pass returns when d has passed by the store's clock, and by the process's if it watches nodes by its own.
	Pass func(d time.Duration)
	// Reopen ends the store's process without a chance to tidy up, as far as that can be had in a test, and starts it
	// again. Harness.Store is the store after.
	Reopen func()
}

// Run runs the suite. open is called for each test and cleans up by t.Cleanup. A store that passes whole may be run again, in front of
// another kind of server, without the tests that except names.
func Run(t *testing.T, open func(t *testing.T) *Harness, except ...string) {
	for _, c := range []struct {
		name string
		run  func(*rig)
	}{
		{"Offer", testOffer}, {"Names", testNames}, {"List", testList}, {"ListMany", testListMany}, {"Counts", testCounts},
		{"Due", testDue}, {"DueOrder", testDueOrder}, {"DueLimit", testDueLimit}, {"DueMany", testDueMany}, {"DueCutover", testDueCutover}, {"DueMigrated", testDueMigrated}, {"Retry", testRetry}, {"Park", testPark}, {"ReleaseUser", testReleaseUser}, {"Repair", testRepair}, {"RepairCutover", testRepairCutover}, {"RepairInvalid", testRepairInvalid}, {"Tally", testTally}, {"TallyMany", testTallyMany},
		{"NotSwitched", testNotSwitched}, {"Trusted", testTrusted},
		{"Claim", testClaim}, {"ClaimRace", testClaimRace}, {"ClaimInvalid", testClaimInvalid},
		{"Transitions", testTransitions}, {"Change", testChange}, {"ChangeInvalid", testChangeInvalid}, {"Report", testReport},
		{"Acquire", testAcquire}, {"AcquirePhase", testAcquirePhase}, {"AcquireRace", testAcquireRace}, {"Renew", testRenew}, {"Release", testRelease}, {"LeaseInvalid", testLeaseInvalid},
		{"FenceNewer", testFenceNewer}, {"FenceExpired", testFenceExpired}, {"FenceReleased", testFenceReleased}, {"FenceForged", testFenceForged}, {"FenceCutover", testFenceCutover}, {"FenceUnknown", testFenceUnknown},
		{"Folders", testFolders}, {"FolderNames", testFolderNames}, {"FolderInvalid", testFolderInvalid}, {"FoldersForgotten", testFoldersForgotten},
		{"Exceptions", testExceptions}, {"ExceptionsInvalid", testExceptionsInvalid}, {"ExceptionsKept", testExceptionsKept},
		{"Cutover", testCutover}, {"CutoverInvalid", testCutoverInvalid}, {"CutoverAgain", testCutoverAgain}, {"Acknowledge", testAcknowledge}, {"Touched", testTouched}, {"Sessions", testSessions}, {"TouchedInvalid", testTouchedInvalid}, {"NodeDies", testNodeDies},
		{"NodeLeaves", testNodeLeaves}, {"NodeReplaced", testNodeReplaced}, {"NodeJoinsLater", testNodeJoinsLater}, {"CommitLate", testCommitLate}, {"CommitOrder", testCommitOrder}, {"CommitTwice", testCommitTwice},
		{"SwitchBeforeCommit", testSwitchBeforeCommit}, {"SwitchTwice", testSwitchTwice}, {"CommitRacesCallOff", testCommitRacesCallOff},
		{"CallOffByHolder", testCallOffByHolder}, {"CallOffByAnyone", testCallOffByAnyone}, {"CallOffEarly", testCallOffEarly}, {"CallOffCommitted", testCallOffCommitted}, {"CallOffStale", testCallOffStale},
		{"TakeoverBeforeCommit", testTakeoverBeforeCommit}, {"TakeoverAfterCommit", testTakeoverAfterCommit},
		{"Nodes", testNodes}, {"NodesInvalid", testNodesInvalid}, {"JoinTaken", testJoinTaken}, {"Silent", testSilent}, {"JoinRacesCutover", testJoinRacesCutover},
		{"Watch", testWatch}, {"WatchSlow", testWatchSlow}, {"Canceled", testCanceled}, {"Durable", testDurable}, {"DurableCommit", testDurableCommit},
		{"Random", testRandom},
	} {
		if slices.Contains(except, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 8*patience) // a hundred thousand exceptions take a busy machine more than a minute
			t.Cleanup(cancel)
			h := open(t)
			c.run(&rig{T: t, Harness: h, ctx: ctx})
		})
	}
}

// rig is what a test works with: the store, and steps that must succeed.
type rig struct {
	*testing.T
	*Harness
	ctx context.Context
}

// must ends the test unless err is nil.
func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// want fails the test unless err is target, which may be nil.
func (r *rig) want(what string, err, target error) {
	r.Helper()
	if !errors.Is(err, target) || (target == nil && err != nil) {
		r.Errorf("%s: error is %v, want %v", what, err, target)
	}
}

// same reports whether two records are equal in all fields.
func same(a, b state.Record) bool { return reflect.DeepEqual(a, b) }

func (r *rig) get(user string) state.Record {
	r.Helper()
	rec, err := r.Store.Get(r.ctx, user)
	r.must(err)
	return rec
}

func (r *rig) offer(users ...string) {
	r.Helper()
	for _, u := range users {
		_, err := r.Store.Offer(r.ctx, u)
		r.must(err)
	}
}

// acquire offers user and takes the lease for worker w.
func (r *rig) acquire(user string) state.Lease {
	r.Helper()
	r.offer(user)
	l, _, err := r.Store.Acquire(r.ctx, user, "w", Long)
	r.must(err)
	return l
}

func (r *rig) advance(l state.Lease, to state.Phase) state.Record {
	r.Helper()
	rec, err := r.Store.Advance(r.ctx, l, to, state.Change{})
	r.must(err)
	return rec
}

// bring offers user, brings it to phase p in legal steps and returns a lease that holds.
func (r *rig) bring(user string, p state.Phase) state.Lease {
	r.Helper()
	l := r.acquire(user)
	if p == state.Held {
		r.advance(l, state.Held)
		return l
	}
	for _, q := range []state.Phase{state.Copying, state.Tailing} {
		if q <= p {
			r.advance(l, q)
		}
	}
	if p >= state.Cutover {
		l = r.begin(l, firstTry)
	}
	if p >= state.Migrated {
		r.must(r.Store.Commit(r.ctx, l, firstTry))
		_, err := r.Store.Switch(r.ctx, l, firstTry, 0)
		r.must(err)
	}
	if p == state.Finalized {
		r.advance(l, state.Finalized)
	}
	return l
}

func (r *rig) begin(l state.Lease, attempt string) state.Lease {
	r.Helper()
	l, _, err := r.Store.BeginCutover(r.ctx, l, attempt, Long)
	r.must(err)
	return l
}

func (r *rig) join(name string) state.Node {
	r.Helper()
	n, err := r.Store.Join(r.ctx, name, Long)
	r.must(err)
	return n
}

// outlast lets everything that is Short end, and what was silent meanwhile be dead.
func (r *rig) outlast() { r.Pass(Short + state.Margin(Short) + time.Millisecond) }

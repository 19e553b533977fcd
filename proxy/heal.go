package proxy

import (
	"context"
	"errors"
	"time"

	"imapferry/state"
)

// Bounds of healing.
const (
	healPoll   = 50 * time.Millisecond // between looks whether the others have posted
	healSoon   = 5 * time.Second       // beyond it a node is not only slow: look and tell at leisure, and let no login wait
	healIdle   = time.Second           // between looks then
	healTell   = time.Minute           // between lines of the log that name who is waited for
	healQuiet  = 3 * time.Second       // for sessions to come to rest
	postWithin = 2 * time.Minute       // reads a journal and asks the store for all of it: some microseconds for each user who was ever switched
)

// heal has records count again whenever the store may have lost some (state.Journals; state/model/journal.pml, whose steps are Ready and
// Post). In a fleet whose nodes all live that takes moments, in which logins wait.
func (n *Node) heal(ctx context.Context) {
	for ctx.Err() == nil {
		m := &healing{Node: n}
		for !m.look(ctx) && ctx.Err() == nil {
			_ = wait(ctx, nil, m.pause())
		}
		_ = wait(ctx, n.trust.suspected, n.ttl/3)
	}
}

// healing is one time that records do not count, as far as this node has come.
type healing struct {
	*Node
	began  time.Time // zero if all is well
	told   time.Time
	heldAt time.Time // zero before sessions are held
	ready  string    // the run for which this node is
	posted string    // and to which it has posted
}

// pause is how long nothing new is to be expected.
func (m *healing) pause() time.Duration {
	if m.began.IsZero() || time.Since(m.began) < healSoon {
		return healPoll
	}
	return healIdle
}

// look asks how far the others are and does what is due. It reports whether records count, and all that was held goes on.
func (m *healing) look(ctx context.Context) (over bool) {
	d, err := m.askDoubt(ctx)
	switch {
	case err != nil && m.began.IsZero(): // Beat says it
		return true
	case err == nil && !d.Untrusted:
		if err = m.end(ctx, d); err == nil {
			return true
		}
	case err == nil:
		err = m.step(ctx, d)
	}
	if err != nil && ctx.Err() == nil {
		m.log.Warn("post the journal", "err", err)
	}
	if !m.heldAt.IsZero() && time.Since(m.heldAt) > holdLimit {
		for _, user := range m.users.onSource() {
			m.lost(ctx, user, "in-doubt", m.users.end(user, inDoubt))
		}
	}
	return false
}

// step does what comes next: read the journal, hold, post, or wait for others.
func (m *healing) step(ctx context.Context, d state.Doubt) error {
	if m.began.IsZero() {
		m.began = time.Now()
		m.trust.lost(m.began)
		m.log.Warn("the store was started or failed over and may have lost writes: its records count when all nodes have posted their journals", "nodes", d.Roster)
	}
	if d.Run != m.ready {
		if err := m.getReady(ctx, d); err != nil {
			return err
		}
		m.ready = d.Run
		return nil
	}
	m.tell(d)
	if len(d.Unready) > 0 || d.Run == m.posted { // sessions are not held in vain
		return nil
	}
	m.hold(ctx)
	err := m.post(ctx, d)
	switch {
	case errors.Is(err, state.ErrFenced):
		m.trust.buried.Store(true)
	case err == nil:
		m.posted = d.Run
	}
	return err
}

// hold holds all sessions on the source. Those that do not come to rest end.
func (m *healing) hold(ctx context.Context) {
	if !m.heldAt.IsZero() {
		return
	}
	m.heldAt = time.Now()
	limit := time.NewTimer(healQuiet)
	defer limit.Stop()
	for _, quiet := range m.users.lose(ofStore) {
		select {
		case <-quiet:
			continue
		case <-limit.C:
			m.log.Warn("sessions with commands under way ended", "sessions", m.users.restless())
		case <-ctx.Done():
		}
		return
	}
}

// tell names who is waited for, once that is not a matter of moments any more.
func (m *healing) tell(d state.Doubt) {
	if now := time.Now(); len(d.Missing) > 0 && now.Sub(m.began) > healSoon && now.Sub(m.told) > healTell {
		m.told = now
		m.log.Error("the store's records do not count, and logins of all whom this node's journal does not know are refused: start the nodes whose journals are missing; for one that is gone for good see imapferry help forget",
			"missing", d.Missing, "since", m.began.UTC().Round(time.Second))
	}
}

// end lets go on what was held, after its records have been read, and remembers who belongs to the fleet.
func (m *healing) end(ctx context.Context, d state.Doubt) error {
	if !m.heldAt.IsZero() {
		if err := m.readAgain(ctx); err != nil {
			return err
		}
		m.users.regain(ofStore)
	}
	m.trust.found()
	if !m.began.IsZero() {
		m.log.Info("the store's records count again", "nodes", d.Roster, "after", time.Since(m.began).Round(time.Millisecond))
	}
	if m.journal == nil {
		return nil
	}
	return m.journal.NoteRoster(d.Roster)
}

// getReady gives the store back what its run that d tells of has lost and this node knows.
func (n *Node) getReady(ctx context.Context, d state.Doubt) error {
	ctx, cancel := context.WithTimeout(ctx, postWithin)
	defer cancel()
	n.trust.next()
	var roster []string
	if n.journal != nil {
		repaired, err := n.journal.Post(ctx, n.store)
		if repaired > 0 {
			n.log.Error("the store had lost switches that this node's journal knows; they are back", "users", repaired)
		}
		if err != nil {
			return err
		}
		if roster, err = n.journal.Roster(); err != nil {
			return err
		}
	}
	return n.store.Ready(ctx, n.name, d, roster)
}

// enroll makes this process one of the nodes, and posts its journal before it serves anybody: it has no sessions to hold. The journal is
// read before the node joins, because nobody beats for it yet.
func (n *Node) enroll(ctx context.Context, waits func(*state.Taken)) error {
	d, err := n.prepare(ctx)
	if err != nil {
		return err
	}
	if err := n.enter(ctx, waits); err != nil {
		return err
	}
	for {
		switch err := n.post(ctx, d); {
		case errors.Is(err, state.ErrFenced): // the store was slow, and nobody beats yet
			if err := n.enter(ctx, waits); err != nil {
				return err
			}
		case errors.Is(err, state.ErrUntrusted): // another run has begun meanwhile
			if d, err = n.prepare(ctx); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// prepare is getReady for the present run.
func (n *Node) prepare(ctx context.Context) (state.Doubt, error) {
	for {
		d, err := n.askDoubt(ctx)
		if err == nil {
			err = n.getReady(ctx, d)
		}
		if !errors.Is(err, state.ErrUntrusted) {
			return d, err
		}
		if err := wait(ctx, nil, healPoll); err != nil {
			return d, err
		}
	}
}

func (n *Node) askDoubt(ctx context.Context) (state.Doubt, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return n.store.Doubt(ctx)
}

func (n *Node) post(ctx context.Context, d state.Doubt) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return n.store.Post(ctx, n.me(), d)
}

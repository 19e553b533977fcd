package proxy

import (
	"context"
	"errors"
	"time"

	"imapferry/state"
)

const (
	joinPoll  = 250 * time.Millisecond // between two tries to join under a name that is taken
	maxFormer = 64                     // incarnations that may have been registered; older ones are dead, since a try comes every ttl/30 at most
)

// enter joins for the first time. If the name is taken, it waits for as long as it takes the other process to count as dead: it may have
// been killed, or be about to leave. waits, which may be nil, is told once that it does. Two processes under one name would both take
// what is meant for the one.
//
// A try that the store does not answer in time may have taken effect, in which case the next one ends what it has registered (former). No
// session depends on the node's life yet, so a try may take longer than a Beat, and the store may be slow for as long as the caller waits.
func (n *Node) enter(ctx context.Context, waits func(*state.Taken)) error {
	var until time.Time
	for {
		began := time.Now()
		err := n.tryJoin(ctx)
		var taken *state.Taken
		switch {
		case timedOut(err) && ctx.Err() == nil:
			n.log.Warn("the store has not let the node join in time: trying again", "node", n.name, "err", err)
		case !errors.As(err, &taken):
			return err
		case until.IsZero():
			until = time.Now().Add(taken.Left())
			n.log.Warn("the node's name is taken: waiting until the process that has it leaves or counts as dead, as after a kill; if it is to run on, give each node a name of its own (state.node)",
				"node", n.name, "incarnation", taken.Node.Incarnation, "since", taken.Since.UTC(), "at_most", taken.Left().Round(100*time.Millisecond))
			if waits != nil {
				waits(taken)
			}
		case began.After(until): // one that has begun before may have looked a moment too early
			return err
		}
		if err := wait(ctx, nil, min(joinPoll, n.ttl/30)); err != nil {
			return err
		}
	}
}

func (n *Node) tryJoin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return n.join(ctx)
}

// timedOut reports whether a deadline has ended a call: a connection says that in other words than its context.
func timedOut(err error) bool {
	var late interface{ Timeout() bool }
	return errors.As(err, &late) && late.Timeout()
}

// join registers a new incarnation. The node serves under none of those before.
func (n *Node) join(ctx context.Context) error {
	began := n.life.sign()
	self, err := n.store.Join(ctx, n.name, n.ttl, n.former...)
	if self.Incarnation != "" {
		n.former = append(n.former, self.Incarnation)
		n.former = n.former[max(0, len(n.former)-maxFormer):]
	}
	if err != nil {
		return err
	}
	n.former = []string{self.Incarnation}
	n.mu.Lock()
	n.self = self
	n.mu.Unlock()
	n.beaten(began)
	n.log.Info("node joined", "node", self.Name, "incarnation", self.Incarnation)
	return nil
}

package proxy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"imapferry/state"
	"imapferry/state/journal"
)

// Bounds of a node's life.
const (
	DefaultTTL = 30 * time.Second       // a node that has been silent for so long counts as dead
	inboxPoll  = 250 * time.Millisecond // hints may be missed
	inboxPause = 10 * time.Millisecond  // at least, however many hints come
)

// What clients hear when the switch ends their session.
const (
	moved    = "[UNAVAILABLE] your mailbox has moved, please reconnect"
	restless = "[UNAVAILABLE] your mailbox is about to move, please reconnect"
	inDoubt  = "[UNAVAILABLE] your mailbox cannot be served at the moment, please reconnect"
)

// Node is this process among the nodes: it keeps its lease on life, reads its inbox and holds the sessions of users in cutover.
//
//	Watch hint, or every 250 ms ─► Inbox ─► hold ─► all quiet ─► Acknowledge ─► read until the attempt is over ─► go on, or BYE
//	every third of the TTL ─► Beat
//
// A Beat that does not come through in time makes the node doubt its life: it holds every session on the source
// before the TTL ends, ends those that do not come to rest, and goes on only after it has joined anew, or learned
// that it never was dead, and has read the record of each user again.
//
// state/model/node.pml is the model of it.
//
// A process that is stopped notices only when it runs again. What it reads from the source then reaches no client (life.go); what it
// sends to the source may arrive after the switch, and is a straggler.
type Node struct {
	// Immutable.
	name    string
	ttl     time.Duration
	store   Store
	journal *journal.Journal // may be nil
	users   *users
	life    *life
	log     *slog.Logger

	touches *touches // has a lock of its own
	trust   *trust   // has one too

	holds sync.WaitGroup

	mu   sync.Mutex
	self state.Node      // guarded by mu
	busy map[string]bool // guarded by mu; attempts that have a goroutine

	// Owned by enter, then by run.
	former  []string  // incarnations under which the node may be registered, the present one among them
	lostAt  time.Time // zero while all is well
	retry   time.Time // no Beat before
	failing bool      // the last Beat did not come through
}

func newNode(name string, ttl time.Duration, store Store, own *journal.Journal, log *slog.Logger) *Node {
	if ttl <= 0 {
		ttl = DefaultTTL
	}
	return &Node{name: name, ttl: ttl, store: store, journal: own, users: newUsers(), life: newLife(ttl), touches: newTouches(), trust: newTrust(), log: log, busy: map[string]bool{}}
}

// brief bounds one call of the store so that several fit between doubt and the end of the TTL.
func (n *Node) brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(n.ttl/12, storeTimeout))
}

func (n *Node) me() state.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.self
}

// run lives until ctx ends, then waits for its holds and leaves.
func (n *Node) run(ctx context.Context) {
	hints := n.store.Watch(ctx)
	n.holds.Go(func() { n.heal(ctx) })
	poll := time.NewTicker(inboxPoll)
	defer poll.Stop()
	for ctx.Err() == nil {
		n.beat(ctx)
		if !n.failing { // else it would only be late to doubt
			n.readInbox(ctx)
		}
		if err := wait(ctx, nil, inboxPause); err != nil {
			break
		}
		hints = n.sleep(ctx, hints, poll.C)
	}
	n.holds.Wait()
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout) // no session depends on it any more
	defer cancel()
	if err := n.store.Leave(bye, n.me()); err != nil {
		n.log.Warn("leave", "err", err)
	}
}

// sleep ends with the next hint or poll. It takes all hints that wait, for all lead to one reading of the inbox. Once
// hints are closed the polls remain.
func (n *Node) sleep(ctx context.Context, hints <-chan string, poll <-chan time.Time) <-chan string {
	select {
	case <-ctx.Done():
		return hints
	case <-poll:
		return hints
	case user, ok := <-hints:
		for ok {
			n.users.notify(user)
			select {
			case user, ok = <-hints:
			default:
				return hints
			}
		}
		return nil
	}
}

// beat keeps the node alive, or doubts its life.
func (n *Node) beat(ctx context.Context) {
	now := time.Now()
	if !n.trust.buried.Swap(false) && (now.Before(n.retry) || n.lostAt.IsZero() && n.life.silent(now) < n.ttl/3) {
		return
	}
	n.retry = now.Add(n.ttl / 30)
	err := n.renew(ctx)
	n.failing = err != nil
	switch {
	case err == nil:
		if !n.lostAt.IsZero() {
			n.regain(ctx)
		}
	case ctx.Err() == nil:
		n.log.Warn("beat", "err", err)
		n.doubt(errors.Is(err, state.ErrFenced))
	}
}

// renew beats, or joins anew if this incarnation has ended.
func (n *Node) renew(ctx context.Context) error {
	began := n.life.sign()
	brief, cancel := n.brief(ctx)
	defer cancel()
	err := n.store.Beat(brief, n.me(), n.ttl)
	if err == nil {
		n.beaten(began)
		return nil
	}
	if errors.Is(err, state.ErrFenced) {
		n.life.end()
		n.doubt(true)
		anew, cancel := n.brief(ctx)
		defer cancel()
		return n.join(anew)
	}
	return err
}

// beaten notes a sign of life that has come through.
func (n *Node) beaten(s *sign) {
	n.touches.turn()
	n.life.renew(s)
}

// doubt holds all sessions on the source at three quarters of the TTL, ends the restless ones at seven eighths, and all of them
// once the store has been away for longer than a hold may last.
func (n *Node) doubt(fenced bool) {
	silent := n.life.silent(time.Now())
	if n.lostAt.IsZero() && (fenced || silent > n.ttl*3/4) {
		n.lostAt = time.Now()
		n.users.lose(ofLife)
		n.log.Error("this node's life is in doubt; sessions on the source are held", "silent", silent)
	}
	if fenced || silent > n.ttl*7/8 {
		if ended := n.users.restless(); ended > 0 {
			n.log.Warn("sessions with commands under way ended", "sessions", ended)
		}
	}
	n.expire()
}

// expire ends the sessions on the source once they have been held for too long.
func (n *Node) expire() {
	if n.lostAt.IsZero() || time.Since(n.lostAt) < holdLimit {
		return
	}
	for _, user := range n.users.onSource() {
		n.users.end(user, inDoubt)
	}
}

// regain lets sessions go on after their users' records have been read again: while the node counted as dead, a
// switch may have passed without it.
func (n *Node) regain(ctx context.Context) {
	if err := n.readAgain(ctx); err != nil {
		n.log.Warn("regain", "err", err)
		n.expire()
		return
	}
	n.lostAt = time.Time{}
	n.users.regain(ofLife)
	n.log.Info("node is sure of its life again", "incarnation", n.me().Incarnation)
}

// readAgain reads the records of all users with sessions on the source, which are held, and acts on what has come to pass meanwhile.
func (n *Node) readAgain(ctx context.Context) error {
	for _, user := range n.users.onSource() {
		rec, err := n.read(ctx, user)
		switch {
		case err != nil:
			return err
		case rec.Phase.OnTarget():
			n.users.hold(user) // else they go on at the source with all others, until moveAll has read what it needs
			n.holds.Go(func() {
				n.moveAll(ctx, user)
				n.users.release(user, false)
			})
		case rec.Phase == state.Cutover:
			n.startHold(ctx, state.Hold{User: user, Epoch: rec.Epoch, Attempt: rec.Attempt})
		}
	}
	return nil
}

// tally counts sessions that the switch has moved, and those that it ended, by reason.
func (n *Node) tally(ctx context.Context, user string, went int64, ended map[string]int64) {
	maps.DeleteFunc(ended, func(_ string, sessions int64) bool { return sessions == 0 })
	if went == 0 && len(ended) == 0 {
		return
	}
	n.log.Info("sessions after a switch", "user", user, "moved", went, "ended", ended)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	if err := n.store.Tally(ctx, user, went, ended); err != nil {
		n.log.Warn("tally", "user", user, "err", err)
	}
}

// lost is tally for sessions that all ended for one reason.
func (n *Node) lost(ctx context.Context, user, reason string, sessions int) {
	n.tally(ctx, user, 0, map[string]int64{reason: int64(sessions)})
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// moveTimeout bounds a move, from the end of the last command at the source until the session stands at the target.
const moveTimeout = 30 * time.Second

// Why a session ends instead of being moved. A move that succeeds has no reason.
const (
	gone         = "gone"       // the client left before; nobody was disconnected
	atBusy       = "busy"       // it did not come to a halt in time
	atSource     = "source"     // the source did not answer any more
	atTarget     = "target"     // the target could not be entered
	atCapability = "capability" // the target lacks what the client was promised or has enabled
	atView       = "view"       // the target's mailbox is not the one that the client knows
	atState      = "state"      // the session has asked for something that does not go along
	atNames      = "names"      // folders have other names now
	atExpunged   = "expunged"   // its first command by sequence numbers could not be translated
)

// unmoved is why a session cannot go on at the target.
type unmoved struct {
	reason string
	err    error
}

func (u *unmoved) Error() string { return u.err.Error() }
func (u *unmoved) Unwrap() error { return u.err }

func cannot(reason, format string, args ...any) error {
	return &unmoved{reason, fmt.Errorf(format, args...)}
}

// switchInfo is what sessions have to know of the switch of their user. They share it.
type switchInfo struct {
	fidelity state.Fidelity
	renamed  bool // some folder has another name at the target
	views    map[string]state.Folder
}

// targetOpener opens a connection to the target with the user logged in, and tells how to relay to it.
type targetOpener func(context.Context, switchInfo) (*backend.Conn, relayConfig, error)

// leaving is a move under way. It is guarded by relay.mu.
type leaving struct {
	user     switchInfo
	told     func(reason string) // called once, when it is known how the move ends; nil before move and after
	patience patience
	cancel   context.CancelFunc // of change
	stopped  bool
}

// over ends the move and returns whom to tell. It never returns nil.
func (l *leaving) over() func(reason string) {
	told := l.told
	l.told = nil
	l.patience.stop()
	if told == nil {
		return func(string) {}
	}
	return told
}

// stop ends the waiting for servers, also if it has not begun.
func (l *leaving) stop() {
	l.stopped = true
	if l.cancel != nil {
		l.cancel()
	}
}

// move makes the session, which is held, go on at the target as soon as it stands between two commands and two responses. It
// returns at once; told is called with "" when the session has moved, or with the reason why it ends instead, and must not block.
//
// The view that the client has of its mailbox is taken after the switch, on the source's connection, which is still
// open, while the target is being entered. Nothing has to be undone when a cutover is called off, and nothing that the
// source tells meanwhile is lost.
func (r *relay) move(user switchInfo, told func(reason string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := &r.halting; r.over || r.ending || r.leaving.told != nil || r.cfg.Target == nil || h.parted {
		told(gone)
		return
	}
	r.held = true
	r.leaving = leaving{user: user, told: told}
	if h := &r.halting; h.dozes {
		r.cfg.Dozer.poller.forget(r)
		h.dozes, h.why = false, toMove
		go r.change()
		return
	}
	r.wait()
	r.askToHalt(toMove)
}

// giveUp ends the session because it cannot be moved. The caller holds mu.
func (r *relay) giveUp(reason string, err error) {
	r.cfg.Log.Warn("session not moved", "reason", reason, "err", err)
	told := r.leaving.over()
	r.endNow(endedByUs, moved)
	told(reason)
}

// change takes the session over to the target. No pump runs meanwhile, and both are started when it is done: on the target, or to
// end the session.
func (r *relay) change() {
	ctx, cancel := context.WithTimeout(context.Background(), moveTimeout)
	defer cancel()
	r.mu.Lock()
	r.leaving.cancel = cancel
	r.leaving.patience.stop() // it has come to its halt; what is owed may wait for as long as the client does
	if r.leaving.stopped {
		cancel()
	}
	if r.idle != nil && r.idle.over {
		r.idle = nil // refused, or ended by the source on its own account
	}
	user := r.leaving.user
	r.mu.Unlock()
	began := time.Now()
	r.down.until, _ = ctx.Deadline() // a client that does not read holds nothing up
	rest, err := r.goOver(ctx, user)
	r.down.until = time.Time{}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving.cancel = nil
	r.halting.why = 0
	if err != nil {
		reason := whyNot(err)
		if r.ending { // not by the switch
			reason = gone
		}
		r.giveUp(reason, err)
	} else {
		r.cfg.Log.Info("session moved", "in", time.Since(began).Round(time.Millisecond), "owed", len(rest.gone))
		r.owed = rest
		r.owes.Store(len(rest.gone)+len(rest.news) > 0)
		if len(rest.gone) == 0 {
			r.leaving.over()("")
		}
		r.openGate()
	}
	r.startPumps()
}

// whyNot returns the reason to count for a move that failed with err.
func whyNot(err error) string {
	u := (*unmoved)(nil)
	switch {
	case errors.Is(err, errWrite) && isTimeout(err):
		return atBusy
	case errors.Is(err, errWrite): // the client alone is written to by an outbox here
		return gone
	case errors.As(err, &u):
		return u.reason
	}
	return atTarget
}

// goOver leaves the source and enters the target. What the client must be told is returned, unless it is in IDLE: then it
// has heard it.
func (r *relay) goOver(ctx context.Context, user switchInfo) (rest owed, err error) {
	if r.place.stays {
		return owed{}, cannot(atState, "the session has asked for what is not promised")
	}
	entering := make(chan entered, 1)
	go r.enterTarget(ctx, user, r.place, entering)
	before, err := r.leaveSource(ctx)
	in := <-entering
	if err = errors.Join(err, in.err); err != nil {
		if in.conn != nil {
			in.conn.Close()
		}
		return owed{}, err
	}
	stop := context.AfterFunc(ctx, in.hurry)
	if err = in.search(before.saved, &r.place); err == nil {
		rest, err = before.became(in.at, r.place)
	}
	if err == nil && r.idle != nil { // RFC 9051, 6.3.13: all may be told
		err = r.tell(append(rest.news, rest.lines...))
		rest = owed{}
	}
	if err == nil && r.idle != nil {
		err = in.resumeIdle(r.idle.tag, r)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		in.conn.Close()
		return owed{}, err
	}
	_ = in.conn.SetDeadline(time.Time{})
	r.settleAt(in)
	return rest, nil
}

func (r *relay) tell(lines []byte) error {
	if err := r.down.write(lines); err != nil {
		return err
	}
	return r.down.flush()
}

// settleAt makes in the backend.
func (r *relay) settleAt(in entered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.backend
	r.backend = end{in.conn.Conn, in.conn.R}
	r.cfg, r.witness = in.cfg, nil
	if in.cfg.Views != nil {
		r.views = newTranslator(in.cfg.Views)
		r.views.utf8 = r.place.enables("UTF8=ACCEPT")
		if r.place.selected {
			r.views.selected, r.views.validity = r.place.mailbox, r.place.uidValidity
		}
	}
	r.up.conn = r.backend.conn
	r.backend.r.Source(&inlet{conn: r.backend.conn, out: r.down, active: &r.active, life: r.cfg.Life})
	r.place = place{}
	r.active.Store(time.Now().UnixNano())
	old.conn.Close()
	old.r.Release()
}

// leaveSource ends an IDLE and returns the client's view of the selected mailbox, with what the source has still to say of it.
func (r *relay) leaveSource(ctx context.Context) (*view, error) {
	conn := r.backend.conn
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if r.idle != nil {
		if err := r.interruptIdle(); err != nil {
			return nil, &unmoved{atSource, fmt.Errorf("end IDLE at source: %w", err)}
		}
	}
	c := &caller{conn: conn, d: wire.NewDecoder(r.backend.r, callLimits)}
	v, err := c.viewAtSource(&r.place)
	if err != nil {
		if u := (*unmoved)(nil); errors.As(err, &u) {
			return nil, err
		}
		return nil, &unmoved{atSource, fmt.Errorf("take the view at source: %w", err)}
	}
	_ = c.send("LOGOUT") // a courtesy; the connection is closed in any case
	return v, nil
}

// interruptIdle sends DONE and passes on everything up to the completion, which the client does not see: its IDLE goes
// on. What the source says until then is legal inside IDLE.
func (r *relay) interruptIdle() error {
	_ = r.backend.conn.SetWriteDeadline(time.Now().Add(moveTimeout))
	if _, err := r.backend.conn.Write([]byte("DONE\r\n")); err != nil {
		return err
	}
	for {
		part, eol, err := r.backend.r.Part()
		if err != nil {
			return cutShort(err)
		}
		tag, rest := wire.Tag(part)
		if word := firstWord(rest); string(tag) == r.idle.tag && (word == "OK" || word == "NO" || word == "BAD") {
			for !eol {
				if _, eol, err = r.backend.r.Part(); err != nil {
					return cutShort(err)
				}
			}
			return r.down.flush()
		}
		if err := r.response(part, eol); err != nil {
			return err
		}
	}
}

package proxy

import (
	"fmt"
	"sync/atomic"
	"time"
)

// How long commands under way have to end in a session that is to move. They only read: the source may serve them after
// the switch.
const (
	movePatience   = 10 * time.Minute // for all of them
	sourcePatience = time.Minute      // between two looks, of which the second finds a source that has said nothing since the first
)

// silence counts the times that the backend is listened to: odd while it is, and the same until it says something. Whoever
// does not listen has no silence to complain of: a client that does not read keeps what its server says back. For a nil
// silence nobody counts.
type silence struct{ turns atomic.Uint64 }

func (s *silence) begin() {
	if s != nil {
		s.turns.Add(1)
	}
}

// end tells how many bytes have come. With none, as when a pump is told to look up, the same silence goes on.
func (s *silence) end(n int) {
	switch {
	case s == nil:
	case n > 0:
		s.turns.Add(1)
	default:
		s.turns.Add(^uint64(0))
	}
}

// patience is how long it is waited until a session can move. It is guarded by relay.mu.
type patience struct {
	until time.Time
	turn  uint64      // of the silence at the last look
	look  *time.Timer // nil when nobody waits
}

// wait begins to wait for a halt. The caller holds mu.
func (r *relay) wait() {
	r.leaving.patience = patience{time.Now().Add(movePatience), r.silence.turns.Load(), time.AfterFunc(sourcePatience, r.loseHope)}
}

// stop ends the waiting.
func (p *patience) stop() {
	if p.look != nil {
		p.look.Stop()
		p.look = nil
	}
}

// loseHope ends a session that has been waited for in vain, or waits on.
func (r *relay) loseHope() {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.leaving.patience
	if p.look == nil || r.halting.still {
		return
	}
	last := p.turn
	p.turn = r.silence.turns.Load()
	switch left := time.Until(p.until); {
	case p.turn == last && last%2 == 1:
		r.giveUp(atSource, fmt.Errorf("source has said nothing for %s, with %d commands under way", sourcePatience, len(r.flight)))
	case left <= 0:
		r.giveUp(atBusy, fmt.Errorf("%d commands are still under way after %s", len(r.flight), movePatience))
	default:
		p.look.Reset(min(left, sourcePatience))
	}
}

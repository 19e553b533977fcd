package proxy

import (
	"sync"
	"time"
)

// When sessions doze and end.
const (
	dozeAfter = 2 * time.Second  // without a byte; waking costs more than waiting in a pump
	dozeLook  = time.Second      // between two looks at all sessions
	idleLimit = 35 * time.Minute // RFC 9051, 5.4: an autologout timer must not be shorter than 30 minutes
)

// dozer lets sessions doze that are idle: they have no goroutine and no buffer then, and what they cost is what TLS and
// two sockets cost. It watches the sockets and wakes a session when there is something to read. Where no socket can be
// watched, sessions keep their pumps. It also ends those that have been idle for too long.
//
// The operating system reports bytes in the socket, not those that TLS has read ahead: so a session dozes only after
// both its pumps have tried to read and found nothing.
type dozer struct {
	poller *poller // nil where there is none
	tidy   tidy
	idle   []*relay // of the last look, kept for its memory: most sessions are in it, at every look

	mu     sync.Mutex
	relays map[*relay]struct{} // guarded by mu
}

func newDozer() *dozer {
	d := &dozer{relays: map[*relay]struct{}{}}
	d.poller = newPoller()
	return d
}

// run looks after the sessions until stop is closed.
func (d *dozer) run(stop <-chan struct{}) {
	var polling sync.WaitGroup
	if d.poller != nil {
		polling.Go(d.poller.run)
	}
	tick := time.NewTicker(dozeLook)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			d.look(now)
		case <-stop:
			if d.poller != nil {
				d.poller.close()
			}
			polling.Wait()
			return
		}
	}
}

func (d *dozer) add(r *relay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.relays[r] = struct{}{}
}

func (d *dozer) remove(r *relay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.relays, r)
}

// look lets sessions doze that have been idle for long enough, and ends those that have been for too long.
func (d *dozer) look(now time.Time) {
	var over []*relay
	idle := d.idle[:0]
	d.mu.Lock()
	for r := range d.relays {
		switch age := now.Sub(time.Unix(0, r.active.Load())); {
		case age > idleLimit:
			over = append(over, r)
		case age > dozeAfter && d.poller != nil:
			idle = append(idle, r)
		}
	}
	n := len(d.relays)
	d.mu.Unlock()
	for _, r := range idle {
		r.settleDown()
	}
	for _, r := range over {
		r.endFor(endedByTimeout, "Autologout; idle for too long")
	}
	clear(idle)
	d.idle = idle
	d.tidy.look(now, n)
}

// settleDown asks both pumps to halt if they wait for a command and for a response.
func (r *relay) settleDown() {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.halting
	if h.pumps == 2 && h.why == 0 && h.waits[clientSide] && h.waits[backendSide] && !r.flight.unsettled() && !r.over && !r.ending {
		r.askToHalt(toDoze)
	}
}

// doze hands the session to the dozer. The caller holds mu, and both pumps have halted.
func (r *relay) doze() bool {
	r.halting.why = 0
	r.client.r.Release()
	r.backend.r.Release()
	trim(r.client.conn)
	trim(r.backend.conn)
	r.cfg.Dozer.tidy.dozed.Add(1)
	r.halting.dozes = r.cfg.Dozer.poller.watch(r)
	return r.halting.dozes
}

// wake lets the pumps run again, because there is something to read.
func (r *relay) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakeUp()
}

// wakeUp is wake with mu held. It reports whether the session has dozed.
func (r *relay) wakeUp() bool {
	if !r.halting.dozes {
		return false
	}
	r.cfg.Dozer.poller.forget(r)
	r.startPumps()
	return true
}

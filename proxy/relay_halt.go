package proxy

import (
	"errors"
	"time"
)

// errHalted ends a pump: both stand at a boundary, and something else than pumps is to follow.
var errHalted = errors.New("halted")

// purpose is why pumps are to halt.
type purpose int

const (
	toDoze purpose = iota + 1 // if nothing happens until both stand
	toMove                    // whatever it takes
)

// halting is how both pumps come to a halt at once, each at a boundary: toBackend between two commands, or before the
// client's word that ends an IDLE, and toClient between two responses, with nothing in flight but such an IDLE. A pump
// that comes first waits for the other one there. It is guarded by relay.mu.
type halting struct {
	why    purpose // 0: the pumps go on
	waits  [2]bool // the pump waits for the first bytes of a command or response
	woken  [2]bool // and its connection's read deadline was set so that it looks up
	stands [2]bool // the pump stands at a boundary
	still  bool    // both have stood: there is no way back
	pumps  int     // running
	dozes  bool    // no pump runs, and the dozer watches both connections
	parted bool    // the client has said its last word: nothing will halt any more

	sockets [2]int // of the poller, while the session dozes
}

// startPumps lets both pumps run. The caller holds mu, and none runs.
func (r *relay) startPumps() {
	h := &r.halting
	h.stands, h.still, h.dozes, h.pumps = [2]bool{}, false, false, 2
	go r.toBackend()
	go r.toClient()
}

// pumped is called by each pump when it has ended. The second one decides how the session goes on.
func (r *relay) pumped() {
	r.mu.Lock()
	h := &r.halting
	if h.pumps--; h.pumps > 0 {
		r.mu.Unlock()
		return
	}
	switch {
	case !h.still:
		r.mu.Unlock()
		r.conclude()
	case h.why == toMove && !r.ending:
		r.mu.Unlock()
		r.change()
	case h.why == toDoze && !r.ending && r.doze():
		r.mu.Unlock()
	default:
		r.startPumps()
		r.mu.Unlock()
	}
}

// await waits until the side's stream can give the beginning of a command or response without waiting, or until the
// pump is to look elsewhere: errHalted, or errOver when the session is to end.
func (r *relay) await(s side) error {
	e := r.at(s)
	for {
		r.mu.Lock()
		if err := r.mayGoOn(s); err != nil || e.r.Ready() {
			r.mu.Unlock()
			return err
		}
		r.halting.waits[s] = true
		r.mu.Unlock()
		err := e.r.Fill()
		r.mu.Lock()
		if r.lookedUp(s) && isTimeout(err) && !errors.Is(err, errWrite) { // a write that did not end in time is another matter
			err = nil
		}
		r.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// mayGoOn is asked by a pump at a boundary. It waits with mu held.
func (r *relay) mayGoOn(s side) error {
	for {
		switch {
		case r.over || r.ending:
			return errOver
		case r.halting.why != 0 && r.atRest(s):
			if r.halt(s) {
				return errHalted
			}
		default:
			return nil
		}
	}
}

// atRest reports whether the pump, which stands at a boundary, may halt there. If it is too busy to doze, nobody will.
func (r *relay) atRest(s side) bool {
	rests := s == clientSide || !r.flight.unsettled() && !r.bidden // else the server is about to close
	if r.halting.why == toDoze && (!rests || r.at(s).r.Buffered() > 0) {
		r.stirred()
		return false
	}
	return rests
}

// halt waits at a boundary for the other pump and reports whether both stand. The caller holds mu.
func (r *relay) halt(s side) bool {
	h := &r.halting
	h.stands[s] = true
	if h.stands[clientSide] && h.stands[backendSide] {
		h.still = true
	}
	r.changed.Broadcast()
	for !h.still && h.why != 0 && !r.over && !r.ending {
		r.changed.Wait()
	}
	h.stands[s] = h.still
	return h.still
}

// part is called when toBackend will pass on no more. The other pump does not wait for it to halt then. The caller holds mu.
func (r *relay) part() {
	r.halting.parted, r.halting.why = true, 0
	r.changed.Broadcast()
}

// askToHalt makes both pumps halt. The caller holds mu.
func (r *relay) askToHalt(why purpose) {
	r.halting.why = why
	r.lookUp(clientSide)
	r.lookUp(backendSide)
	r.changed.Broadcast()
}

// stirred gives up dozing: something happens. The caller holds mu.
func (r *relay) stirred() {
	if r.halting.why == toDoze && !r.halting.still {
		r.halting.why = 0
		r.changed.Broadcast()
	}
}

// lookUp wakes a pump that waits for the first bytes of a command or response. The caller holds mu.
func (r *relay) lookUp(s side) {
	if h := &r.halting; h.waits[s] && !h.woken[s] {
		h.woken[s] = true
		r.at(s).conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// lookedUp is called by a pump that has waited, and reports whether it was to look up. The caller holds mu.
func (r *relay) lookedUp(s side) bool {
	h := &r.halting
	h.waits[s] = false
	if !h.woken[s] {
		return false
	}
	h.woken[s] = false
	r.at(s).conn.SetReadDeadline(time.Time{})
	return true
}

package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// Bounds of a relay.
const (
	writeTimeout = 5 * time.Minute // for one buffer: whoever reads less than 200 bytes a second is as good as gone
	endGrace     = 5 * time.Second // what end allows for the response under way and for the BYE
	lingerLimit  = time.Second     // how long a client has to close, so that no reset overtakes the last bytes to it
)

// end is one side of a relay: writes go to conn, reads come from r, which may hold bytes that were read ahead.
type end struct {
	conn net.Conn
	r    *wire.Reader
}

// side is one of a relay's two.
type side int

const (
	clientSide side = iota
	backendSide
)

// relayConfig is what a relay needs to know beside its two ends.
type relayConfig struct {
	Caps        func(backend.Caps) backend.Caps // what the client is told when the server says its capabilities
	Views       map[string]state.Folder         // by raw name; nil unless there is something that the target does not tell
	NoModSeq    bool                            // mod-sequences are kept from the client, on both servers
	Touched     func(change func(touched))      // notes what the client changes; nil unless the backend is the source
	Life        *life                           // of the node, while which is valid what the backend says is passed on; nil unless it is the source
	Target      targetOpener                    // opens where the session goes on after a switch; nil unless the backend is the source
	LiteralPlus bool                            // the backend takes {n+} of any size; else the relay makes them synchronizing
	Dozer       *dozer                          // lets the session cost little while it is idle; nil: it always has its pumps
	Log         *slog.Logger
}

// endReason says who ended a session.
type endReason string

const (
	endedByClient  endReason = "client"  // the client closed or broke the connection
	endedByBackend endReason = "backend" // the backend did, on its own account
	endedByLogout  endReason = "logout"  // the backend did, after LOGOUT
	endedByUs      endReason = "ended"   // end was called, or the context was over
	endedByTimeout endReason = "timeout" // nothing came from either side for too long, or one did not read
)

// relayStats is what a relay leaves behind.
type relayStats struct {
	ToBackend, ToClient int64 // bytes
	Reason              endReason
	Err                 error // nil after an orderly end
}

// errOver ends toBackend when the session is over for another reason.
var errOver = errors.New("session is over")

// relay is the part of a session after the login. Two pumps move the bytes:
//
//	client ──► toBackend: commands  ──► gate ──► backend
//	client ◄── rewrite ◄── toClient: responses ◄── backend
//
// Bytes pass as they are. toBackend knows where a command begins and ends, toClient where a response does, and the
// table of commands in flight joins them: a literal {n} waits there for its continuation request, IDLE for its end, a
// hold for the last completion.
//
// A pump alone writes to its side. What the relay itself has to say to the client therefore takes the way of a
// response: a command that must not reach the backend is replaced by NOOP under its tag, and the answer to that by
// ours. So every reply keeps its place.
//
// A pump writes out what it has collected when it has to wait for more, and its buffer goes back to the pool. Both
// pumps halt, and end, when the relay dozes or moves; see halt, doze and move.
type relay struct {
	// Immutable.
	client end
	cfg    relayConfig

	backend end              // changed by move alone, while there are no pumps
	done    func(relayStats) // set by start

	up      *outbox      // owned by toBackend
	inside  bool         // owned by toBackend: a command, or the DONE of an IDLE, has begun and not ended
	idle    *inFlight    // owned by toBackend: an IDLE whose end is yet to come
	down    *outbox      // owned by toClient
	views   *translator  // owned by toClient; nil if nothing is translated
	place   place        // owned by toClient
	bidden  bool         // owned by toClient: the client has heard a BYE, and the session is not moved any more
	active  atomic.Int64 // Unix nanoseconds of the last byte from either side
	owes    atomic.Bool  // there is something in owed
	silence silence      // of the backend, until a move

	// Guarded by mu; changed wakes whoever waits for any of them.
	mu       sync.Mutex
	changed  sync.Cond
	flight   flight
	witness  *witness      // nil if what the client changes is of no interest
	sending  bool          // toBackend is inside a command or has not written out its end
	held     bool          // the gate is closed
	quiet    chan struct{} // closed when quiet; renewed by resume
	isQuiet  bool
	halting  halting
	leaving  leaving
	owed     owed   // what the client has still to hear of removals
	farewell string // text of the BYE; set by end
	ending   bool
	grace    *time.Timer
	over     bool // nothing passes any more
	reason   endReason
	err      error
}

// newRelay returns a relay that owns both connections from now on.
func newRelay(client, back end, cfg relayConfig) *relay {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &relay{client: client, backend: back, cfg: cfg, quiet: make(chan struct{})}
	r.changed.L = &r.mu
	r.up = &outbox{conn: back.conn, flushed: r.settle}
	r.down = &outbox{conn: client.conn, gather: gathererBelow(client.conn)}
	if cfg.Views != nil {
		r.views = newTranslator(cfg.Views)
	}
	if cfg.Touched != nil {
		r.witness = &witness{note: cfg.Touched}
	}
	return r
}

// run relays until the session ends. When ctx ends, the client is sent away as by end.
func (r *relay) run(ctx context.Context) relayStats {
	ended := make(chan relayStats, 1)
	r.start(func(stats relayStats) { ended <- stats })
	defer context.AfterFunc(ctx, func() { r.end("[UNAVAILABLE] server is shutting down") })()
	return <-ended
}

// start begins to relay and returns. When the session has ended and both connections are closed, done is called.
func (r *relay) start(done func(relayStats)) {
	r.client.r.Source(&inlet{conn: r.client.conn, out: r.up, active: &r.active})
	r.backend.r.Source(&inlet{conn: r.backend.conn, out: r.down, active: &r.active, silence: &r.silence, life: r.cfg.Life})
	r.active.Store(time.Now().UnixNano())
	r.client.conn.SetDeadline(time.Time{}) // those of the login are over
	r.backend.conn.SetDeadline(time.Time{})
	r.done = done
	if r.cfg.Dozer != nil {
		r.cfg.Dozer.add(r)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startPumps()
}

// conclude is called when both pumps are through and nothing will pass any more.
func (r *relay) conclude() {
	if r.cfg.Dozer != nil {
		r.cfg.Dozer.remove(r)
	}
	r.client.conn.Close()
	r.backend.conn.Close()
	r.client.r.Release()
	r.backend.r.Release()
	r.mu.Lock()
	if r.grace != nil {
		r.grace.Stop()
	}
	told := r.leaving.over()
	stats := relayStats{ToBackend: r.up.written, ToClient: r.down.written, Reason: r.reason, Err: r.err}
	r.mu.Unlock()
	told(gone)
	r.done(stats)
}

func (r *relay) at(s side) end {
	if s == clientSide {
		return r.client
	}
	return r.backend
}

// hold closes the gate: a command that has begun is finished, nothing after it is sent on. The channel closes when no command
// but IDLE is in flight and none can reach the backend, or when the session is over (I3).
func (r *relay) hold() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = true
	r.checkQuiet()
	return r.quiet
}

// resume opens the gate again.
func (r *relay) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.openGate()
}

// openGate is resume with mu held.
func (r *relay) openGate() {
	if !r.held {
		return
	}
	r.held = false
	if r.isQuiet && !r.over {
		r.quiet, r.isQuiet = make(chan struct{}), false
	}
	r.changed.Broadcast()
}

// checkQuiet closes quiet if it is time. An IDLE counts as in flight until its continuation request has come, because until
// then it may still stand in a buffer, and again from its DONE on. The caller holds mu.
func (r *relay) checkQuiet() {
	if r.isQuiet || !r.over && (!r.held || r.sending || r.flight.busy()) {
		return
	}
	r.isQuiet = true
	close(r.quiet)
}

// settle is called by toBackend whenever its outbox is empty.
func (r *relay) settle() {
	if r.inside {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sending = false
	r.checkQuiet()
}

// end sends "* BYE text" between two responses and closes both sides. It returns at once. If the response under way does not
// end within endGrace, or the client does not read, the connections are closed without it.
func (r *relay) end(text string) { r.endFor(endedByUs, text) }

func (r *relay) endFor(reason endReason, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endNow(reason, text)
}

// endNow is endFor with mu held.
func (r *relay) endNow(reason endReason, text string) {
	if r.ending || r.over {
		return
	}
	r.ending, r.farewell = true, text
	r.setReason(reason, nil)
	r.grace = time.AfterFunc(endGrace, r.cut)
	r.leaving.stop() // there is nobody to move any more
	r.wakeUp()
	r.lookUp(backendSide) // toClient alone writes to the client
	r.changed.Broadcast()
}

// cut closes both connections, which ends both pumps, and a move.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakeUp()
	r.leaving.stop()
	r.client.conn.Close()
	r.backend.conn.Close()
	r.changed.Broadcast()
}

// abandon ends a relay that was not started.
func (r *relay) abandon() {
	r.cut()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.checkQuiet()
	r.leaving.over()(gone)
}

// setReason keeps the first reason. The caller holds mu.
func (r *relay) setReason(reason endReason, err error) {
	if r.reason == "" {
		r.reason, r.err = reason, err
	}
}

// finish is called by toClient when it will send no more to the client.
func (r *relay) finish(reason endReason, err error) {
	r.mu.Lock()
	r.setReason(reason, err)
	if r.witness != nil {
		for _, c := range r.flight {
			r.witness.abandoned(c)
		}
	}
	r.over = true
	r.checkQuiet()
	r.changed.Broadcast()
	r.mu.Unlock()
	r.backend.conn.Close()
	closeWrite(r.client.conn)
	r.client.conn.SetReadDeadline(time.Now().Add(lingerLimit))
}

// closeWrite passes on an end of stream: TLS and TCP connections can be closed one way.
func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
		return
	}
	conn.Close()
}

// isTimeout reports whether a deadline passed.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// orderly drops the errors that are the usual end of a connection.
func orderly(err error) error {
	if err == io.EOF || errors.Is(err, net.ErrClosed) || errors.Is(err, errOver) {
		return nil
	}
	return err
}

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
	idleLimit    = 35 * time.Minute // RFC 9051, 5.4: an autologout timer must not be shorter than 30 minutes
	writeTimeout = 5 * time.Minute  // for one buffer: whoever reads less than 200 bytes a second is as good as gone
	endGrace     = 5 * time.Second  // what end allows for the response under way and for the BYE
	lingerLimit  = time.Second      // how long a client has to close, so that no reset overtakes the last bytes to it
)

// end is one side of a relay: writes go to conn, reads come from r, which may hold bytes that were read ahead.
type end struct {
	conn net.Conn
	r    *wire.Reader
}

// relayConfig is what a relay needs to know beside its two ends.
type relayConfig struct {
	Caps        func(backend.Caps) backend.Caps // what the client is told when the server says its capabilities
	Views       map[string]state.Folder         // by raw name; nil unless the user is translated and on the target
	LiteralPlus bool                            // the backend takes {n+} of any size; else the relay makes them synchronizing
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
// Bytes pass as they are. toBackend knows where a command begins and ends, toClient where a response does, and the table of commands in
// flight joins them: a literal {n} waits there for its continuation request, IDLE for its end, a hold for the last completion.
//
// A pump alone writes to its side. What the relay itself has to say to the client therefore takes the way of a response: a command that must not
// reach the backend is replaced by NOOP under its tag, and the answer to that by ours. So every reply keeps its place.
//
// A pump writes out what it has collected when it has to wait for more, and its buffer goes back to the pool: an idle relay owns no buffer
// but those of its two readers.
type relay struct {
	// Immutable.
	client, backend end
	cfg             relayConfig

	up     *outbox      // owned by toBackend
	inside bool         // owned by toBackend: a command, or the DONE of an IDLE, has begun and not ended
	down   *outbox      // owned by toClient
	views  *translator  // owned by toClient; nil if nothing is translated
	active atomic.Int64 // Unix nanoseconds of the last byte from either side

	// Guarded by mu; changed wakes whoever waits for any of them.
	mu       sync.Mutex
	changed  sync.Cond
	flight   flight
	sending  bool          // toBackend is inside a command or has not written out its end
	between  bool          // toClient waits for the first byte of a response
	held     bool          // the gate is closed
	quiet    chan struct{} // closed when quiet; renewed by resume
	isQuiet  bool
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
	r.down = &outbox{conn: client.conn}
	if cfg.Views != nil {
		r.views = newTranslator(cfg.Views)
	}
	return r
}

// run relays until the session ends and closes both connections. When ctx ends, the client is sent away as by end.
func (r *relay) run(ctx context.Context) relayStats {
	r.client.r.Source(&inlet{conn: r.client.conn, out: r.up, active: &r.active})
	r.backend.r.Source(&inlet{conn: r.backend.conn, out: r.down, active: &r.active})
	r.active.Store(time.Now().UnixNano())
	r.client.conn.SetDeadline(time.Time{}) // those of the login are over
	r.backend.conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { r.end("[UNAVAILABLE] server is shutting down") })
	defer stop()
	defer r.watchIdle()()

	var pumps sync.WaitGroup
	pumps.Go(r.toBackend)
	pumps.Go(r.toClient)
	pumps.Wait()
	r.client.conn.Close()
	r.backend.conn.Close()

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grace != nil {
		r.grace.Stop()
	}
	return relayStats{ToBackend: r.up.written, ToClient: r.down.written, Reason: r.reason, Err: r.err}
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
	if r.ending || r.over {
		return
	}
	r.ending, r.farewell = true, text
	r.setReason(reason, nil)
	r.grace = time.AfterFunc(endGrace, r.cut)
	if r.between {
		r.backend.conn.SetReadDeadline(time.Unix(1, 0)) // wakes toClient, which alone writes to the client
	}
	r.changed.Broadcast()
}

// cut closes both connections, which ends both pumps.
func (r *relay) cut() {
	r.client.conn.Close()
	r.backend.conn.Close()
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
	r.over = true
	r.checkQuiet()
	r.changed.Broadcast()
	r.mu.Unlock()
	r.backend.conn.Close()
	closeWrite(r.client.conn)
	r.client.conn.SetReadDeadline(time.Now().Add(lingerLimit))
}

// watchIdle ends the session after idleLimit without a byte; the function it returns stops the watch.
func (r *relay) watchIdle() (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	check := func() {
		left := idleLimit - time.Since(time.Unix(0, r.active.Load()))
		if left <= 0 {
			r.endFor(endedByTimeout, "Autologout; idle for too long")
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			timer.Reset(left)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(idleLimit, check)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
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

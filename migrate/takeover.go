package migrate

import (
	"context"
	"fmt"
	"net"
	"time"

	"imapferry/state"
)

// What a worker may still do to the target when another one has taken over is little, and each of it has its guard:
//
//	it does not know yet, since it or its host was stopped   the lease is looked at before each write to the target (leased)
//	a batch is yet to be sent                                its note is written under the lease first, which is refused
//	bytes are on their way in its kernel                     the connection is reset, which discards them (reset)
//	bytes are on their way in the network or the target      the next worker waits a while (settle), and knows the batch by its note;
//	                                                         later UIDs are shifted, and the folder is copied anew
//
// IMAP has no way to end another's session, so a batch that the network delivers after the next worker has switched the user comes as
// messages that are there twice. TCP gives up on it after some minutes, and the next worker cannot begin before leaseTTL.

// errUnleased is why a worker may not write to the target any more, for all that its clocks say.
var errUnleased = fmt.Errorf("the lease may have ended: %w", state.ErrLost)

// leaseSafe is for how long a lease counts from when it was asked for: the store counts from later on, by another clock.
const leaseSafe = leaseTTL - leaseTTL/6

// renewal is when a lease was asked for, by Go's clock, which stands still while the host sleeps, and by the one on the wall.
type renewal struct {
	at   time.Time
	wall int64 // nanoseconds
}

func newRenewal() *renewal {
	now := time.Now()
	return &renewal{now, now.UnixNano()}
}

// valid reports whether the lease has not ended by either clock. One on the wall that is put forward costs a try.
func (r *renewal) valid(now time.Time) bool {
	return max(now.Sub(r.at), time.Duration(now.UnixNano()-r.wall)) < leaseSafe
}

// leased is asked before each write to the target. Without a lease nothing is ever written.
func (w *worker) leased() error {
	if r := w.renewed.Load(); r != nil && !r.valid(time.Now()) {
		return errUnleased
	}
	return nil
}

// leased returns what is asked before each write to the server; nil: nothing is.
func (c *client) leased() func() error {
	if c.guard == nil {
		return nil
	}
	return c.guard.leased
}

// leasedKey is the key of a context's func() error that is asked before each write to a connection that dialLeased makes.
type leasedKey struct{}

// dialLeased connects to a target by another way than IMAP.
func dialLeased(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: doveadmTimeout}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	leased, _ := ctx.Value(leasedKey{}).(func() error)
	return &stallGuard{Conn: conn, leased: leased}, nil
}

// reset closes conn, and discards what was not sent so far.
func reset(conn net.Conn) {
	if tcp := tcpBelow(conn); tcp != nil {
		_ = tcp.SetLinger(0) // else it is closed all the same
	}
	conn.Close()
}

// abort is close, and discards what was not sent so far.
func (c *client) abort() {
	reset(c.conn.Conn)
	c.close()
}

// abort does so on both sides.
func (l *lane) abort() {
	for _, c := range []*client{l.src, l.dst} {
		if c != nil {
			c.abort()
		}
	}
}

package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"imapferry/internal/wire"
)

// outboxSize is the size of the buffers between two writes. Without TLS 32 KiB would be faster over loopback, because
// reading and writing overlap then; behind TLS four full records in one write cost less. Buffers are only held while
// something is in them, so they can be larger than what an idle session may cost.
const outboxSize = 64 << 10

var outboxPool = sync.Pool{New: func() any { return new([outboxSize]byte) }}

// errWrite marks the failure of a write, so that a pump knows which side failed.
var errWrite = errors.New("write")

// outbox collects what goes to one side and writes it in large pieces. It belongs to one pump.
type outbox struct {
	conn    net.Conn
	gather  *gatherer         // below conn; nil if there is none
	buf     *[outboxSize]byte // nil if empty
	n       int
	written int64
	until   time.Time // if set, no write lasts longer
	flushed func()    // if set, called whenever everything is written out
}

// write takes p.
func (o *outbox) write(p []byte) error {
	for len(p) > 0 {
		if o.n == outboxSize {
			if err := o.flush(); err != nil {
				return err
			}
		}
		n := copy(o.free(), p)
		o.n += n
		p = p[n:]
	}
	return nil
}

func (o *outbox) free() []byte {
	if o.buf == nil {
		o.buf = outboxPool.Get().(*[outboxSize]byte)
	}
	return o.buf[o.n:]
}

// literal takes the body of a literal from r, without a copy between the reader's stream and the outbox where it can.
func (o *outbox) literal(r *wire.Reader, size int64) error {
	lr := r.Literal(size)
	for lr.Left() > 0 {
		if r.Buffered() == 0 || o.n == outboxSize {
			if err := o.flush(); err != nil {
				return err
			}
		}
		n, err := lr.Read(o.free())
		o.n += n
		if err != nil {
			return err
		}
	}
	return nil
}

// flush writes out what was collected and gives the buffer back.
func (o *outbox) flush() error {
	if o.n > 0 {
		deadline := time.Now().Add(writeTimeout)
		if !o.until.IsZero() && o.until.Before(deadline) {
			deadline = o.until
		}
		o.conn.SetWriteDeadline(deadline)
		n, err := o.conn.Write(o.buf[:o.n])
		o.written += int64(n)
		if err != nil {
			o.n = 0
			return fmt.Errorf("%w: %w", errWrite, err)
		}
	}
	if o.buf != nil {
		outboxPool.Put(o.buf)
		o.buf, o.n = nil, 0
	}
	if o.flushed != nil {
		o.flushed()
	}
	return nil
}

// inlet is the stream below a Reader. Before it waits for more, it writes out what the pump owes the other side.
type inlet struct {
	conn    io.Reader
	out     *outbox
	active  *atomic.Int64
	silence *silence // nil if nobody asks
	life    *life    // nil: what comes may always be passed on
}

// errLifeless marks what was read from the source when this node may have counted as dead.
var errLifeless = errors.New("this node's lease on life had ended when the source answered")

// Read implements io.Reader.
func (in *inlet) Read(p []byte) (int, error) {
	// An empty outbox keeps its buffer here, because p may be part of it: literals are read straight into it.
	if in.out.n > 0 || in.out.buf == nil {
		if err := in.out.flush(); err != nil {
			return 0, err
		}
	}
	in.silence.begin()
	n, err := in.conn.Read(p)
	in.silence.end(n)
	if n > 0 {
		now := time.Now()
		if in.life != nil && !in.life.valid(now) {
			return 0, errLifeless
		}
		in.active.Store(now.UnixNano())
	}
	return n, err
}

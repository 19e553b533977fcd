package testbed

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxUnderWay bounds the bytes of one direction that have been read and not yet
// been written. Over 100 ms it stands for 80 MB/s.
const maxUnderWay = 8 << 20

// drainWithin bounds how long a connection that was cut in good order waits for
// the ends of its peers.
const drainWithin = 5 * time.Second

var errCut = errors.New("cut")

// link is one forwarded connection. Each direction has a goroutine that reads
// and stamps, and one that waits and writes.
type link struct {
	client   net.Conn
	target   net.Conn // guarded by the forwarder's mu until run
	up, down *pipe
	isCut    atomic.Bool
	done     chan struct{} // closed by the first cut or abort
	once     sync.Once
}

func newLink(client net.Conn) *link {
	return &link{client: client, up: newPipe(), down: newPipe(), done: make(chan struct{})}
}

// run returns when both directions have ended.
func (l *link) run(f *Forwarder) {
	var wg sync.WaitGroup
	wg.Go(func() { l.read(l.client, l.up, f.upward) })
	wg.Go(func() { l.read(l.target, l.down, f.downward) })
	wg.Go(func() { l.write(f, l.target, l.up, &f.up, f.upward) })
	wg.Go(func() { l.write(f, l.client, l.down, &f.down, f.downward) })
	wg.Wait()
}

// read stamps what comes with the time it is due. After a cut it reads on and
// forgets, since closing a socket that holds unread bytes would be a RST.
func (l *link) read(from net.Conn, p *pipe, now func() regime) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		due := time.Now().Add(now().Delay)
		if n > 0 && !l.isCut.Load() {
			p.put(parcel{due: due, data: slices.Clone(buf[:n])}, l.done)
		}
		if err != nil {
			p.put(parcel{due: due, end: err}, l.done)
			return
		}
	}
}

// write delivers what is due.
func (l *link) write(f *Forwarder, to net.Conn, p *pipe, count *atomic.Int64, now func() regime) {
	epoch, left := -1, int64(0)
	for {
		next, ok := p.get(l.done)
		if !ok {
			return
		}
		r, err := l.await(f, next, now)
		if err != nil {
			return
		}
		if r.epoch != epoch {
			epoch, left = r.epoch, r.CutAfter
		}
		if next.end != nil {
			l.end(to, next.end)
			return
		}
		last := r.CutAfter > 0 && int64(len(next.data)) >= left
		if last {
			next.data = next.data[:left]
		}
		n, err := to.Write(next.data)
		count.Add(int64(n))
		left -= int64(n)
		if last {
			l.cut(r.reset)
		}
		if err != nil && !l.isCut.Load() {
			l.cut(true)
		}
		if l.isCut.Load() {
			return
		}
	}
}

// await waits until a parcel may be delivered, and returns what holds then.
func (l *link) await(f *Forwarder, next parcel, now func() regime) (regime, error) {
	for {
		r := now()
		left := time.Until(next.due)
		if left <= 0 && !r.BlackHole {
			return r, nil
		}
		if err := f.wait(left, r.changed, l.done); err != nil {
			return r, err
		}
	}
}

// end passes on how a direction ended: half a close, or a RST.
func (l *link) end(to net.Conn, err error) {
	if errors.Is(err, io.EOF) {
		_ = to.(*net.TCPConn).CloseWrite()
		return
	}
	l.cut(true)
}

// cut ends the connection at both sides; the target may not be there yet.
func (l *link) cut(resetting bool) {
	l.isCut.Store(true)
	l.once.Do(func() { close(l.done) })
	for _, c := range l.conns() {
		if resetting {
			reset(c)
			continue
		}
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(drainWithin))
	}
}

// abort ends it without manners.
func (l *link) abort() {
	l.isCut.Store(true)
	l.once.Do(func() { close(l.done) })
	for _, c := range l.conns() {
		_ = c.Close()
	}
}

func (l *link) conns() []net.Conn {
	if l.target == nil {
		return []net.Conn{l.client}
	}
	return []net.Conn{l.client, l.target}
}

// parcel is what was read at once, or the end of a direction.
type parcel struct {
	due  time.Time
	data []byte
	end  error
}

// pipe is a queue that is bounded by bytes, since many small writes may be under
// way as well as few large ones.
type pipe struct {
	mu     sync.Mutex
	queue  []parcel      // guarded by mu
	bytes  int           // guarded by mu
	filled chan struct{} // holds a token if there may be something to get
	room   chan struct{} // holds a token if there may be room
}

func newPipe() *pipe {
	return &pipe{filled: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func (p *pipe) put(next parcel, done <-chan struct{}) {
	for !p.tryPut(next) {
		select {
		case <-p.room:
		case <-done:
			return
		}
	}
}

func (p *pipe) tryPut(next parcel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+len(next.data) > maxUnderWay {
		return false
	}
	p.queue = append(p.queue, next)
	p.bytes += len(next.data)
	token(p.filled)
	return true
}

// get is false once the link is done.
func (p *pipe) get(done <-chan struct{}) (parcel, bool) {
	for {
		select {
		case <-done:
			return parcel{}, false
		default:
		}
		if next, ok := p.tryGet(); ok {
			return next, true
		}
		select {
		case <-p.filled:
		case <-done:
			return parcel{}, false
		}
	}
}

func (p *pipe) tryGet() (parcel, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return parcel{}, false
	}
	next := p.queue[0]
	p.queue[0] = parcel{}
	p.queue = p.queue[1:]
	p.bytes -= len(next.data)
	token(p.room)
	return next, true
}

func token(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

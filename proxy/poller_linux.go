package proxy

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/pires/go-proxyproto"
	"golang.org/x/sys/unix"
)

// poller watches the sockets of dozing sessions by one epoll instance. Go's own poller, which knows the sockets too,
// wakes a goroutine only if there is one that waits.
//
// Descriptors are used again after a close, and an event may be on its way then: it wakes a session that has nothing to
// read, which dozes off again. Nothing is ever read by a descriptor that was kept.
type poller struct {
	fd  int
	set *os.File // fd, as Go's poller sees it: it is readable when an event waits

	mu     sync.Mutex
	dozing []*relay // guarded by mu; by descriptor
}

// newPoller returns nil if the system gives none.
func newPoller() *poller {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	if err := unix.SetNonblock(fd, true); err != nil { // without it os.File would not wait for it by Go's poller
		unix.Close(fd)
		return nil
	}
	return &poller{fd: fd, set: os.NewFile(uintptr(fd), "epoll")}
}

// run wakes sessions until close.
func (p *poller) run() {
	conn, err := p.set.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		err := conn.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, ev := range events[:n] {
			p.mu.Lock()
			r := p.dozing[ev.Fd]
			p.mu.Unlock()
			if r != nil {
				r.wake()
			}
		}
	}
}

func (p *poller) close() { p.set.Close() }

// watch begins to watch both sockets of r, whose lock the caller holds. It reports whether it can.
func (p *poller) watch(r *relay) bool {
	client, err := descriptor(r.client.conn)
	back, err2 := descriptor(r.backend.conn)
	if errors.Join(err, err2) != nil {
		return false
	}
	r.halting.sockets = [2]int{client, back}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fd := range r.halting.sockets {
		if fd >= len(p.dozing) {
			p.dozing = append(p.dozing, make([]*relay, fd+1-len(p.dozing))...)
		}
		p.dozing[fd] = r
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)}
		if unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev) != nil {
			p.drop(r)
			return false
		}
	}
	return true
}

// forget ends what watch began. The sockets are still open.
func (p *poller) forget(r *relay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(r)
}

func (p *poller) drop(r *relay) {
	for _, fd := range r.halting.sockets {
		_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) // not there if adding it has failed
		if fd < len(p.dozing) {
			p.dozing[fd] = nil
		}
	}
}

// descriptor returns the socket below conn.
func descriptor(conn net.Conn) (int, error) {
	for {
		switch c := conn.(type) {
		case interface{ NetConn() net.Conn }: // crypto/tls
			conn = c.NetConn()
		case *proxyproto.Conn:
			conn = c.Raw()
		case syscall.Conn:
			raw, err := c.SyscallConn()
			if err != nil {
				return 0, err
			}
			fd := -1
			err = raw.Control(func(f uintptr) { fd = int(f) })
			return fd, err
		default:
			return 0, errors.ErrUnsupported
		}
	}
}

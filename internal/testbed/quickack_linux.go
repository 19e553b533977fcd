package testbed

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickAck acknowledges at once what comes. Courier and Cyrus write an answer in
// several pieces and leave Nagle's algorithm on, so each of their answers would
// wait 40 ms for an acknowledgement that this side delays.
type quickAck struct{ *net.TCPConn }

func acknowledging(conn net.Conn) net.Conn {
	if tcp, ok := conn.(*net.TCPConn); ok {
		return quickAck{tcp}
	}
	return conn
}

// Read asks for it again each time: the kernel takes it for a hint about what
// is to come next.
func (c quickAck) Read(p []byte) (int, error) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
	return c.TCPConn.Read(p)
}

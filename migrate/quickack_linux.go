package migrate

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// quickAck asks the kernel to acknowledge at once what comes next; it takes that for a hint, which is to be repeated. Courier
// and Cyrus write an answer in pieces and leave Nagle's algorithm on, so each of their answers would wait 40 ms for an
// acknowledgement that this side delays.
func quickAck(tcp syscall.RawConn) {
	_ = tcp.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}

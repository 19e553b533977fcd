package testbed

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup puts a server into a process group of its own, so that it can be
// killed with its children, and has the kernel end it when its owner dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// lockByte takes a lock on the open file, not on the process as POSIX locks
// do, so that closing the same file elsewhere cannot drop it.
func lockByte(f *os.File, at int64) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1})
}

func unlockByte(f *os.File, at int64) {
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart, Start: at, Len: 1})
}

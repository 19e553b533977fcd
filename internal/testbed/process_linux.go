package testbed

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownGroup puts a server into a process group of its own, so that it can be
// killed with its children, and has the kernel end it when its owner dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// enclose gives a process namespaces of its own for mounts and process ids, for
// which it needs CAP_SYS_ADMIN. It is the first process in there: when it ends,
// the kernel kills the others and waits for them.
func enclose(attr *syscall.SysProcAttr) {
	attr.Unshareflags = syscall.CLONE_NEWNS
	attr.Cloneflags = syscall.CLONE_NEWPID
}

type process struct {
	pid, parent, group int
	dead               bool
}

// processes reads what runs on this machine.
func processes() []process {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []process
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state parent group …; the name may hold anything
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 3 {
			continue
		}
		p := process{dead: fields[0] == "Z" || fields[0] == "X"}
		p.pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
		p.parent, _ = strconv.Atoi(fields[1])
		p.group, _ = strconv.Atoi(fields[2])
		found = append(found, p)
	}
	return found
}

// groupAlive reports whether a process of the group still runs. Asking by a
// signal would count dead children that nobody has reaped yet.
func groupAlive(pgid int) bool {
	return slices.ContainsFunc(processes(), func(p process) bool { return p.group == pgid && !p.dead })
}

// groups returns the process groups of a leader and of those it descends to.
func groups(leader int) []int {
	found, family := []int{leader}, map[int]bool{leader: true}
	for all, grown := processes(), true; grown; {
		grown = false
		for _, p := range all {
			if !family[p.parent] || family[p.pid] {
				continue
			}
			family[p.pid], grown = true, true
			if !p.dead && !slices.Contains(found, p.group) {
				found = append(found, p.group)
			}
		}
	}
	return found
}

// lockByte takes a lock on the open file, not on the process as POSIX locks
// do, so that closing the same file elsewhere cannot drop it.
func lockByte(f *os.File, at int64) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1})
}

func unlockByte(f *os.File, at int64) {
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart, Start: at, Len: 1})
}

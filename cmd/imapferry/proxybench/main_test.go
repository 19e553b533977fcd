package proxybench

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// roles are what this binary can be beside a test: processes of their own, since their memory and CPU time are not
// those of the clients.
var roles = map[string]func(args []string) error{
	"role=backend": backend,
	"role=iocopy":  copyRelay,
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			fmt.Fprintln(os.Stderr, role(os.Args[2:]))
			os.Exit(1)
		}
	}
	// Said once more what Go has done by itself, it holds for the children too.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		files.Cur = files.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files) // fewer files, fewer sessions
	}
	os.Exit(m.Run())
}

package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// socketPrefix marks the address of a unix socket.
const socketPrefix = "unix:"

// Listen listens on host:port or on unix:/path. Whoever may open the socket commands imapferry, so it is its owner's
// alone. The socket of a process that is gone is removed first; one on which somebody listens, or a file of another
// kind, is left alone and is an error.
func Listen(addr string) (net.Listener, error) {
	path, isSocket := strings.CutPrefix(addr, socketPrefix)
	if !isSocket {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("listen for operators: %w", err)
		}
		return l, nil
	}
	if err := removeStale(path); err != nil {
		return nil, fmt.Errorf("listen for operators: %s: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // before this the umask protects it: to connect takes the right to write
		return nil, errors.Join(fmt.Errorf("listen for operators: %w", err), l.Close())
	}
	return l, nil
}

// removeStale removes the socket at path if nobody listens on it. Only a refused connection proves that.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is something else than a socket; remove it or choose another path")
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return errors.New("another process listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

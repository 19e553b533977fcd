package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// adminServer answers operators.
type adminServer struct {
	http.Server
	listener net.Listener
	ended    chan error
}

// listenAdmin listens on host:port or unix:/path. Who may open the socket commands imapferry, so it is the owner's and the group's alone.
func listenAdmin(addr string) (net.Listener, error) {
	path, unix := strings.CutPrefix(addr, "unix:")
	if !unix {
		return net.Listen("tcp", addr)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// removeStale removes the socket of a process that is gone, and nothing else.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is no socket", path)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return fmt.Errorf("%s is in use by another process", path)
	}
	return os.Remove(path)
}

// serveAdmin begins to answer on ln.
func serveAdmin(ln net.Listener, handler http.Handler) *adminServer {
	a := &adminServer{listener: ln, ended: make(chan error, 1)}
	a.Handler = handler
	a.ReadHeaderTimeout = 10 * time.Second
	a.IdleTimeout = 2 * time.Minute
	a.MaxHeaderBytes = 64 << 10
	go a.answer()
	return a
}

func (a *adminServer) answer() {
	err := a.Serve(a.listener)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	a.ended <- err
}

// stop lets requests under way end, for as long as ctx allows.
func (a *adminServer) stop(ctx context.Context) error {
	if err := a.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("stop admin: %w", err), a.Close())
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"imapferry/migrate"
	"imapferry/proxy"
	"imapferry/state"
	"imapferry/state/admin"
)

// adminServer answers operators.
type adminServer struct {
	http.Server
	listener net.Listener
	ended    chan error
}

// adminHandler shows operators what the store knows, has the engine look at once where they have changed something,
// and verifies until ending is done.
func (n *node) adminHandler(ending context.Context, addr string, engine *migrate.Engine) http.Handler {
	host, _, _ := net.SplitHostPort(addr) // empty for a unix socket
	return admin.NewServer(admin.Options{
		Store: n.store, Version: buildVersion(), Host: host, Log: n.log,
		Canonical: n.canonical, Sessions: n.server.Sessions, Notify: engine.Wake, Ready: n.server.Ready, Verify: verifier(ending, engine),
	})
}

// canonical tells the operator's wrong name from aliases that cannot be asked.
func (n *node) canonical(ctx context.Context, name string) (string, error) {
	user, err := n.names.Canonical(ctx, name)
	if errors.Is(err, proxy.ErrName) {
		return "", invalid{err}
	}
	return user, err
}

// invalid is an error that is the operator's fault, in its own words.
type invalid struct{ error }

func (i invalid) Unwrap() []error { return []error{i.error, state.ErrInvalid} }

// serveAdmin begins to answer on ln. ending is called when it is told to stop, for the requests that would not end by themselves.
func serveAdmin(ln net.Listener, handler http.Handler, ending func()) *adminServer {
	a := &adminServer{listener: ln, ended: make(chan error, 1)}
	a.Handler = handler
	a.RegisterOnShutdown(ending)
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

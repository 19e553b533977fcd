package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

const serveUsage = `usage: imapferry serve --config FILE

Accepts mail clients, serves each user from the source or the target, and moves users from one to the other. It runs
until SIGTERM or SIGINT; a second one ends it at once. At SIGHUP it reads certificates and aliases again. The log goes
to stderr.

  --config FILE  the configuration, TOML; deploy/imapferry.toml shows every key with its default
`

func serve(ctx context.Context, c *call) error {
	file := c.flags.String("config", "", "")
	cfg, err := c.config(file)
	if err != nil {
		return err
	}
	log := newLog(c.stderr)
	log.Info("starting", "version", buildVersion(), "config", *file)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on a signal ends the process as it would any other
	n, err := startNode(ctx, cfg, log)
	if err != nil && ctx.Err() != nil {
		log.Info("stopped before the start was through", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	tell(log, "READY=1")
	n.wait(ctx)
	tell(log, "STOPPING=1")
	n.stop()
	log.Info("stopped")
	return nil
}

func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// tell notifies the service manager. What it does not hear is no reason not to serve.
func tell(log *slog.Logger, state string) {
	if err := notify(state); err != nil {
		log.Warn("service manager not told", "state", state, "err", err)
	}
}

// wait returns when ctx ends.
func (n *node) wait(ctx context.Context) {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			n.reload()
		}
	}
}

// reload reads again what may change while sessions go on. What cannot be read stays as it was.
func (n *node) reload() {
	if err := n.certs.Reload(); err != nil {
		n.log.Error("certificates not reloaded; the old ones are served on", "err", err)
	} else {
		n.log.Info("certificates reloaded")
	}
	if err := n.names.Reload(); err != nil {
		n.log.Error("aliases not reloaded; the old ones hold", "err", err)
	} else {
		n.log.Info("aliases reloaded")
	}
}

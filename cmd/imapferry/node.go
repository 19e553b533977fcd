package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"imapferry/internal/backend"
	"imapferry/migrate"
	"imapferry/proxy"
	"imapferry/state"
	"imapferry/state/admin"
	"imapferry/state/journal"
	"imapferry/tls"
)

// node is everything that one process runs.
//
//	certificates, store, names, backends ─► listeners ─► engine ─► sessions ─► admin
//
// Nothing that others see happens before all addresses are taken: a second process with the same configuration fails
// without a trace. Then it joins the other nodes, for which it may have to wait; the engine starts, and the service manager hears that the
// node is ready, when it has joined. It is stopped in this order: the engine first, since a cutover under way needs this node's
// sessions to acknowledge the hold, and no new one must begin while they end; then the sessions, which leave the
// nodes' registry with the last; then the admin API, by which operators can watch all this; and store and journal last,
// since all of them write to these.
type node struct {
	log     *slog.Logger
	names   *proxy.Names
	certs   *tls.Certificates
	store   state.Store
	journal *journal.Journal
	server  *proxy.Server
	admin   *adminServer    // nil if not configured
	engine  *migrate.Engine // nil until it is started

	endSessions context.CancelFunc
	sessions    sync.WaitGroup
}

// Bounds of a stop. That of the sessions is proxy.DefaultDrain.
const (
	engineWithin = 12 * time.Second // a worker that is told to stop hands back its user within 10 s
	adminWithin  = 2 * time.Second  // requests under way
)

// startWithin is what a start may take once the node has its name.
const startWithin = 30 * time.Second

// startNode starts everything that cfg describes. What has been started is stopped again if a later part fails.
func startNode(ctx context.Context, cfg *config, log *slog.Logger) (_ *node, err error) {
	n := &node{log: log}
	defer func() {
		if err != nil {
			n.stop()
		}
	}()
	if n.names, err = proxy.NewNames(cfg.Users); err != nil {
		return nil, err
	}
	source, err := backend.New("source", cfg.Source)
	if err != nil {
		return nil, err
	}
	target, err := backend.New("target", cfg.Target.Config)
	if err != nil {
		return nil, err
	}
	if n.certs, err = tls.New(context.WithoutCancel(ctx), cfg.TLS, log); err != nil {
		return nil, err
	}
	if n.store, err = openStore(ctx, cfg.State, log); err != nil {
		return nil, err
	}
	if n.journal, err = openJournal(cfg.State.journalPath()); err != nil {
		return nil, err
	}
	if err := n.journal.Bind(n.store.ID()); err != nil {
		return nil, foreignJournal(err, cfg.State.journalPath())
	}
	return n, n.open(ctx, cfg, source, target)
}

// open starts the parts that work with the store.
func (n *node) open(ctx context.Context, cfg *config, source, target *backend.Backend) error {
	engine, err := migrate.New(migrate.Config{
		Settings: cfg.Migrate, Source: source, Target: target, TargetSettings: cfg.Target.TargetSettings,
		Store: n.store, Journal: n.journal, Prove: string(cfg.Auth.Prove), Owner: owner(cfg.State.Node), Node: nodeName(cfg.State.Node), Log: n.log,
		Sessions: func(user string) int { return n.server.Sessions(user) }, // which there is before the engine starts
	})
	if err != nil {
		return err
	}
	n.server, err = proxy.New(proxy.Config{
		IMAPS: cfg.Listen.IMAPS, IMAP: cfg.Listen.IMAP, ProxyFrom: networks(cfg.Listen.ProxyProtocolFrom), TLS: n.certs.ServerConfig(),
		Source: source, Target: target, Prove: cfg.Auth.Prove, Fidelity: engine.Fidelity(), Names: n.names,
		Store: n.store, Journal: n.journal, Offer: engine, NodeName: cfg.State.Node, NodeTTL: cfg.State.NodeTTL, Log: n.log,
	})
	if err != nil {
		return err
	}
	if cfg.Listen.Admin != "" {
		ln, err := admin.Listen(cfg.Listen.Admin)
		if err != nil {
			return err
		}
		ending, end := context.WithCancel(context.WithoutCancel(ctx))
		n.admin = serveAdmin(ln, n.adminHandler(ending, cfg.Listen.Admin, engine), end)
	}
	if err := n.server.Listen(ctx); err != nil {
		return err
	}
	if err := n.server.Join(ctx, n.takeTime); err != nil {
		return err
	}
	n.engine = engine
	n.engine.Start(context.WithoutCancel(ctx))
	ctx, n.endSessions = context.WithCancel(context.WithoutCancel(ctx))
	n.sessions.Go(func() { n.server.Run(ctx) })
	n.announce(cfg, source, target)
	return nil
}

// owner names this process in leases. The name alone would let a process that has just started take over from one
// that has not quite ended.
func owner(name string) string {
	return nodeName(name) + "/" + rand.Text()[:8]
}

// nodeName returns the name that operators know this node by.
func nodeName(configured string) string {
	if configured != "" {
		return configured
	}
	name, _ := os.Hostname()
	return name
}

// takeTime tells the service manager that the start takes longer: the node waits for its name.
func (n *node) takeTime(t *state.Taken) {
	tell(n.log, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (t.Left().Round(100*time.Millisecond)+startWithin).Microseconds()))
}

// announce logs with what the node runs, a line for each part.
func (n *node) announce(cfg *config, source, target *backend.Backend) {
	for _, info := range n.certs.Info() {
		n.log.Info("certificate", "mode", info.Source, "names", info.Names, "until", info.NotAfter, "problem", info.Problem)
	}
	for _, b := range []*backend.Backend{source, target} {
		n.log.Info(b.Name(), "addr", b.Addr(), "login", b.Method())
	}
	n.log.Info("migrate", "on_login", cfg.Migrate.OnLogin, "only", cfg.Migrate.Only, "cutover", cfg.Migrate.Cutover, "windows", cfg.Migrate.CutoverWindows, "workers", cfg.Migrate.Workers)
	n.announceLimits()
	imaps, imap := n.server.Addrs()
	n.log.Info("listening", "imaps", imaps, "imap", imap, "admin", n.adminAddr())
}

// announceLimits warns where sessions would fail for want of files: each takes one to the client and one to the server. Go has
// raised the soft limit to the hard one already.
func (n *node) announceLimits() {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		n.log.Warn("limits", "err", err)
		return
	}
	if files.Cur < 2*proxy.DefaultMaxSessions {
		n.log.Warn("limits: fewer open files than sessions may need; raise LimitNOFILE or ulimit -n", "open_files", files.Cur, "sessions", proxy.DefaultMaxSessions)
		return
	}
	n.log.Info("limits", "open_files", files.Cur, "sessions", proxy.DefaultMaxSessions)
}

func (n *node) adminAddr() string {
	if n.admin == nil {
		return ""
	}
	return n.admin.listener.Addr().String()
}

// stop ends what runs, in the order that node tells. Every step has its own bound.
func (n *node) stop() {
	if n.engine != nil {
		n.stopEngine()
	}
	if n.endSessions != nil {
		n.endSessions()
		n.sessions.Wait()
	}
	if n.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), adminWithin)
		defer cancel()
		n.report("admin", n.admin.stop(ctx))
	}
	if n.store != nil {
		n.report("state", n.store.Close())
	}
	if n.journal != nil {
		n.report("journal", n.journal.Close())
	}
	if n.certs != nil {
		n.certs.Close()
	}
}

// stopEngine waits for the workers to hand back their users, but not for one that hangs in the network: its lease ends by itself.
func (n *node) stopEngine() {
	stopped := make(chan struct{})
	go n.awaitEngine(stopped)
	select {
	case <-stopped:
	case <-time.After(engineWithin):
		n.log.Error("workers still busy; going on without them", "after", engineWithin)
	}
}

func (n *node) awaitEngine(stopped chan<- struct{}) {
	n.engine.Stop()
	close(stopped)
}

func (n *node) report(part string, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		n.log.Error("stop", "part", part, "err", err)
	}
}

func networks(list []string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s)) // checked with the configuration
	}
	return all
}

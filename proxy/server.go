package proxy

import (
	"context"
	cryptotls "crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
	"imapferry/state/journal"
)

// Defaults and bounds of a Server.
const (
	DefaultMaxSessions   = 16384
	DefaultMaxPerAddress = 1024 // an office behind one address with five connections a person
	DefaultDrain         = 10 * time.Second

	loginTime = time.Minute // from the greeting to the login; RFC 9051, 5.4 sets no minimum before authentication
)

// Config is what a Server serves with. It must not be changed afterwards.
type Config struct {
	IMAPS, IMAP []string          // addresses with implicit TLS, and with STARTTLS
	ProxyFrom   []netip.Prefix    // networks whose PROXY protocol header is believed
	TLS         *cryptotls.Config // of both kinds of listeners

	Source, Target *backend.Backend
	Prove          Prove          // default ProveRoute
	Fidelity       state.Fidelity // that users will have, by the target's adapter
	Names          *Names
	Store          Store
	Journal        *journal.Journal // of this node; nil: what the store says is all that is known
	Offer          Offerer          // may be nil

	NodeName string        // default the host's name
	NodeTTL  time.Duration // default DefaultTTL

	MaxSessions   int           // at a time; default DefaultMaxSessions
	MaxPerAddress int           // at a time from one client address (IPv6: /64); default DefaultMaxPerAddress
	Drain         time.Duration // how long Run waits for sessions to end; default DefaultDrain

	Log *slog.Logger
}

// Server accepts clients and gives each a session.
type Server struct {
	// Immutable.
	cfg       Config
	node      *Node
	limits    *limits
	learned   *learned
	dozer     *dozer
	loginTime time.Duration

	joined    atomic.Bool
	listeners []listener
	sessions  sync.WaitGroup
}

// New checks cfg whole and returns a Server that does not listen yet.
func New(cfg Config) (*Server, error) {
	if err := check(&cfg); err != nil {
		return nil, err
	}
	return &Server{
		cfg:       cfg,
		node:      newNode(cfg.NodeName, cfg.NodeTTL, cfg.Store, cfg.Journal, cfg.Log),
		limits:    newLimits(cfg.MaxSessions, cfg.MaxPerAddress),
		learned:   &learned{},
		dozer:     newDozer(),
		loginTime: loginTime,
	}, nil
}

func check(cfg *Config) error {
	var errs []error
	demand := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	demand(len(cfg.IMAPS)+len(cfg.IMAP) > 0, "listen: no address; give listen.imaps or listen.imap")
	demand(cfg.TLS != nil, "tls: missing; nobody can log in without it")
	demand(cfg.Source != nil && cfg.Target != nil, "source and target: both are needed")
	demand(cfg.Names != nil && cfg.Store != nil, "users and state: both are needed")
	switch cfg.Prove {
	case "":
		cfg.Prove = ProveRoute
	case ProveRoute, ProveSource, ProveTarget:
	default:
		demand(false, "auth.prove: "+string(cfg.Prove)+" is not one of route, source, target")
	}
	if cfg.NodeName == "" {
		name, err := os.Hostname()
		cfg.NodeName = name
		demand(err == nil, "node name: the host has none; configure one")
	}
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = DefaultMaxSessions
	}
	if cfg.MaxPerAddress <= 0 {
		cfg.MaxPerAddress = DefaultMaxPerAddress
	}
	if cfg.Drain <= 0 {
		cfg.Drain = DefaultDrain
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return errors.Join(errs...)
}

// Sessions returns how many sessions of user this node serves, those on their way in among them.
func (s *Server) Sessions(user string) int { return s.node.users.count(user) }

// Join makes this process one of the nodes, and posts its journal. It waits if another process has the node's name, until that one has left or counts as dead,
// or returns *state.Taken; waits, which may be nil, is told at once that it does. Listen comes first: clients who come meanwhile wait.
func (s *Server) Join(ctx context.Context, waits func(*state.Taken)) error {
	if err := s.node.enroll(ctx, waits); err != nil {
		s.closeListeners()
		return err
	}
	s.joined.Store(true)
	return nil
}

// Ready returns an error before Join has succeeded.
func (s *Server) Ready() error {
	if !s.joined.Load() {
		return fmt.Errorf("node %s has not joined the others yet; the log says what it waits for", s.cfg.NodeName)
	}
	return nil
}

// Run serves until ctx ends. Then it stops accepting, ends the sessions with BYE, each between two responses, waits for them within
// Config.Drain, closes what is left and leaves. Listen and Join come first.
func (s *Server) Run(ctx context.Context) {
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var node, accepting sync.WaitGroup
	nodeCtx, stopNode := context.WithCancel(hard)
	stopDozer := make(chan struct{})
	node.Go(func() { s.node.run(nodeCtx) })
	node.Go(func() { s.dozer.run(stopDozer) })
	for _, l := range s.listeners {
		accepting.Go(func() { s.accept(hard, ctx, l) })
	}
	<-ctx.Done()
	s.closeListeners()
	accepting.Wait()
	s.node.users.close(goingDown)
	drained := time.AfterFunc(s.cfg.Drain, func() {
		cut()
		s.node.users.cut()
	})
	s.sessions.Wait()
	drained.Stop()
	close(stopDozer)
	stopNode() // last: until here it holds and acknowledges
	node.Wait()
}

// Listen opens all listeners, or none.
func (s *Server) Listen(ctx context.Context) error {
	for _, kind := range []struct {
		addrs []string
		tls   bool
	}{{s.cfg.IMAPS, true}, {s.cfg.IMAP, false}} {
		for _, addr := range kind.addrs {
			var lc net.ListenConfig
			l, err := lc.Listen(ctx, "tcp", addr)
			if err != nil {
				s.closeListeners()
				return err
			}
			s.listeners = append(s.listeners, listener{l, kind.tls})
		}
	}
	return nil
}

// Addrs returns where the server listens with implicit TLS, and with STARTTLS.
func (s *Server) Addrs() (imaps, imap []net.Addr) {
	for _, l := range s.listeners {
		if l.tls {
			imaps = append(imaps, l.Addr())
		} else {
			imap = append(imap, l.Addr())
		}
	}
	return imaps, imap
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.Close()
	}
}

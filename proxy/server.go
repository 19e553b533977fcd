package proxy

import (
	"context"
	cryptotls "crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"imapferry/internal/backend"
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
	Prove          Prove // default ProveRoute
	Names          *Names
	Store          Store
	Offer          Offerer // may be nil

	NodeName string        // default the host's name
	NodeTTL  time.Duration // default 30 s

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
	loginTime time.Duration

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
		node:      newNode(cfg.NodeName, cfg.NodeTTL, cfg.Store, cfg.Log),
		limits:    newLimits(cfg.MaxSessions, cfg.MaxPerAddress),
		learned:   &learned{},
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

// Run joins the nodes and serves until ctx ends. Then it stops accepting, ends the sessions with BYE, each between two responses, waits for them within
// Config.Drain, closes what is left and leaves. Listen comes first.
func (s *Server) Run(ctx context.Context) error {
	if err := s.node.join(ctx); err != nil {
		s.closeListeners()
		return err
	}
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var node, accepting sync.WaitGroup
	nodeCtx, stopNode := context.WithCancel(hard)
	node.Go(func() { s.node.run(nodeCtx) })
	for _, l := range s.listeners {
		accepting.Go(func() { s.accept(hard, ctx, l) })
	}
	<-ctx.Done()
	s.closeListeners()
	accepting.Wait()
	drained := time.AfterFunc(s.cfg.Drain, cut)
	s.sessions.Wait()
	drained.Stop()
	stopNode() // last: until here it holds and acknowledges
	node.Wait()
	return nil
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

package redisstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"

	"imapferry/state"
)

// Store is a state.Store in Redis.
type Store struct {
	kind      kind
	confirm   int  // replicas
	readOnly  bool // nothing is written, so nothing can be confirmed: see Try
	servers   *servers
	guides    *servers // the Sentinels, if there are any
	directory *directory
	ear       *redis.Client // its connections listen to changes, wherever a master is when they are made
	id        string        // of what the store held when it was opened; see identity.go

	observer observer

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // watchers
	stop   chan struct{}  // closed by Close
}

var _ state.Store = (*Store)(nil)

// Open connects to the Redis at rawURL, in one of the forms of url.go, and warns about settings that can lose state. No error contains
// a password (I8).
func Open(ctx context.Context, rawURL string, opts Options) (*Store, error) {
	s, name, err := dial(rawURL, opts)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, opts, name); err != nil {
		return nil, errors.Join(fmt.Errorf("open state %s: %w", name, err), s.Close())
	}
	return s, nil
}

// dial makes a store that has asked nobody yet, and returns what to call it.
func dial(rawURL string, opts Options) (*Store, string, error) {
	l, err := parse(rawURL)
	if err != nil {
		return nil, "", fmt.Errorf("open state: %w", err)
	}
	s, err := connect(l, opts)
	if err != nil {
		return nil, "", fmt.Errorf("open state %s: %w", l.name, err)
	}
	return s, l.name, nil
}

// connect is dial for a location.
func connect(l location, opts Options) (*Store, error) {
	quieten.Do(func() { redis.SetLogger(quiet{}) })
	secure, err := secure(l, opts)
	if err != nil {
		return nil, err
	}
	if opts.Password != "" {
		l.password = opts.Password
	}
	own := clientOptions(l.user, l.password, l.db, secure)
	s := &Store{
		kind: l.kind, confirm: opts.Confirm, stop: make(chan struct{}), servers: newServers(own),
		guides: newServers(clientOptions(l.sentinelUser, l.sentinelPassword, 0, secure)),
	}
	switch l.kind {
	case standalone:
		s.directory = newDirectory(whole(l.hosts[0], 0), nil, nil)
	case sentinel:
		watch := &sentinels{addrs: l.hosts, master: l.master, servers: s.guides}
		s.directory = newDirectory(nil, watch.ask, func(t *table) { s.servers.keep(t.masters()) })
	case cluster:
		all := &members{seeds: l.hosts, servers: s.servers}
		s.directory = newDirectory(nil, all.ask, func(t *table) { s.servers.keep(slices.Concat(t.masters(), t.others, l.hosts)) })
	}
	own.Dialer = s.toAnyMaster(own.Dialer)
	s.ear = redis.NewClient(&own)
	return s, nil
}

// begin finds out whether Redis can be used, and which store this is.
func (s *Store) begin(ctx context.Context, opts Options, name string) (err error) {
	if err := s.greet(ctx, opts.Log, name); err != nil {
		return err
	}
	s.id, err = s.identify(ctx, opts.Existing)
	return err
}

// greet finds out whether Redis answers, and warns about it.
func (s *Store) greet(ctx context.Context, log *slog.Logger, name string) error {
	if err := s.Ping(ctx); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%w (the server ended the connection at once; if it wants TLS, write the scheme with rediss)", err)
	} else if err != nil {
		return err
	}
	if log == nil {
		log = slog.Default()
	}
	s.check(ctx, log.With("state", name)) // first: what it says is why the rest may fail
	return s.tellsRuns(ctx)
}

// quieten sends what the client has to say, mostly of connections that broke, to the debug log: whoever made the call
// gets an error as well.
var quieten sync.Once

type quiet struct{}

func (quiet) Printf(ctx context.Context, format string, v ...any) {
	slog.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, v...))
}

// Ping implements state.Store. In a Cluster all masters must answer.
func (s *Store) Ping(ctx context.Context) error {
	err := s.eachMaster(ctx, func(_ string, c *redis.Client) error { return c.Ping(ctx).Err() })
	if lost(ctx, err) { // maybe there are others by now
		err = s.eachMaster(ctx, func(_ string, c *redis.Client) error { return c.Ping(ctx).Err() })
	}
	return err
}

// eachMaster calls do for each of the masters until one fails, and doubts that it still is one then.
func (s *Store) eachMaster(ctx context.Context, do func(addr string, c *redis.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := s.directory.table(ctx)
	if err != nil {
		return err
	}
	for _, addr := range t.masters() {
		c, err := s.servers.at(addr)
		if err == nil {
			err = do(addr, c)
		}
		if err != nil {
			s.directory.doubt()
			return err
		}
	}
	return nil
}

// Close ends all watchers and connections. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	s.mu.Unlock()
	s.wg.Wait()
	if err := errors.Join(s.ear.Close(), s.servers.close(), s.guides.close()); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// codes are the answers of scripts that are errors.
var codes = map[string]error{
	"unknown": state.ErrUnknown,
	"busy":    state.ErrBusy,
	"lost":    state.ErrLost,
	"phase":   state.ErrPhase,
	"late":    state.ErrLate,
	"waiting": state.ErrWaiting,
	"fenced":  state.ErrFenced,

	"replaced":  state.ErrReplaced,
	"untrusted": state.ErrUntrusted,

	"torn":     errTorn,
	"notempty": state.ErrNotEmpty,
	"twice":    errTwice,
}

// note names the act and its object in what a method returns.
func note(err *error, act, object string) {
	if *err != nil {
		*err = fmt.Errorf("%s %s: %w", act, object, *err)
	}
}

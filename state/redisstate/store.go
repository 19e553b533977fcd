package redisstate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"imapferry/state"
)

// Options is what Open may be told. The zero value is right for most.
type Options struct {
	Log *slog.Logger // for warnings about how Redis is configured; nil is slog.Default
}

// Store is a state.Store in Redis.
type Store struct {
	client *redis.Client

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // watchers
	stop   chan struct{}  // closed by Close
}

var _ state.Store = (*Store)(nil)

// Open connects to the Redis at rawURL, redis://user:password@host:port/db or rediss:// with TLS, and warns about settings that can lose state. No error
// contains the URL's password (I8).
func Open(ctx context.Context, rawURL string, opts Options) (*Store, error) {
	o, name, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	quieten.Do(func() { redis.SetLogger(quiet{}) })
	s := &Store{client: redis.NewClient(o), stop: make(chan struct{})}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open state %s: %w", name, err), s.Close())
	}
	log := opts.Log
	if log == nil {
		log = slog.Default()
	}
	s.check(ctx, log.With("state", name))
	return s, nil
}

// parse returns the client's options and a name for the store that holds no secret.
func parse(rawURL string) (o *redis.Options, name string, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, "", errors.New("open state: the url is malformed; it should be redis://user:password@host:port/db, with special characters of the password as %XX")
	}
	name = u.Scheme + "://" + u.Host + u.Path
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, "", fmt.Errorf("open state %s: the scheme must be redis or rediss", name)
	}
	o, err = redis.ParseURL(rawURL)
	if err != nil {
		return nil, "", fmt.Errorf("open state %s: %w", name, err)
	}
	o.MaxRetries = -1 // a lost reply does not mean that the script did not run; call.go repeats what may be repeated
	o.ContextTimeoutEnabled = true
	o.Protocol = 2 // nothing of the newer one is needed, and older servers and proxies know this one
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, name, nil
}

// quieten sends what the client has to say, mostly of connections that broke, to the debug log: whoever made the call gets an error as well.
var quieten sync.Once

type quiet struct{}

func (quiet) Printf(ctx context.Context, format string, v ...any) {
	slog.DebugContext(ctx, "redis client", "message", fmt.Sprintf(format, v...))
}

// Ping implements state.Store.
func (s *Store) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.client.Ping(ctx).Err()
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
	if err := s.client.Close(); err != nil {
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
}

// note names the act and its object in what a method returns.
func note(err *error, act, object string) {
	if *err != nil {
		*err = fmt.Errorf("%s %s: %w", act, object, *err)
	}
}

package migrate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"imapferry/internal/backend"
	"imapferry/state"
	"imapferry/state/journal"
)

// Store is what the engine needs of state.Store.
type Store interface {
	state.Leases
	state.Cutovers
	state.Exceptions
	Watch(ctx context.Context) <-chan string
	Offer(ctx context.Context, user string) (state.Record, error)
	Get(ctx context.Context, user string) (state.Record, error)
	Repair(ctx context.Context, rec state.Record, folders []state.Folder) (state.Record, error)
	Due(ctx context.Context, limit int) ([]string, error)
	List(ctx context.Context, phase state.Phase, after string, limit int) ([]state.Record, error)
	Claim(ctx context.Context, user string, tokens []string) (other string, err error)
	Folders(ctx context.Context, user string) ([]state.Folder, error)
}

// Config is what an Engine is made of.
type Config struct {
	Settings
	Target         *backend.Backend
	TargetSettings TargetSettings
	Source         *backend.Backend
	Store          Store
	Journal        *journal.Journal      // of this node; nil: the store is taken at its word
	Prove          string                // auth.prove: who proves users' secrets
	Owner          string                // names this process in leases
	Node           string                // names this node to operators
	Sessions       func(user string) int // live sessions of user on this node; nil: none
	Lanes          int                   // connection pairs for each user; 0: 2, which is where more stop to help
	Log            *slog.Logger
}

// Bounds of the engine.
const (
	defaultLanes = 2
	maxSecrets   = 5 // different secrets of one user, the newest ones
	storeTimeout = 10 * time.Second
	maxRetry     = 5 * time.Minute
)

// pace is how long workers wait where nothing tells them to go on. Tests whose servers answer at once wait less.
type pace struct {
	look   time.Duration // between looks for users who have become due
	retry  time.Duration // after a failure; it doubles with each in a row
	settle time.Duration // for a dead worker's last batch
}

var usualPace = pace{look: time.Second, retry: time.Second, settle: 2 * time.Second}

// Engine moves users: those offered with their secrets and, where both servers are entered without them, all that are due.
type Engine struct {
	cfg     Config
	adapter adapter
	windows windows
	pace    pace
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	wake    chan struct{}

	mu    sync.Mutex
	users map[string]*candidate // to be looked at
	shelf map[string]*candidate // migrated: their secrets wait for the next straggler pass
}

// candidate is a user whose secrets are at hand, or who is being moved.
type candidate struct {
	secrets []backend.Secret // newest first
	offered time.Time
	retryAt time.Time
	fresh   bool // offered since a worker has last begun
	busy    bool // a worker has it
	settled bool // nothing to do until the next offer or Wake: held, migrated
	hinted  bool // the record has changed since a worker has last begun
	patience
}

// New returns an engine that is not started.
func New(cfg Config) (*Engine, error) {
	a, err := cfg.TargetSettings.adapter()
	if err != nil {
		return nil, err
	}
	windows, err := parseWindows(cfg.CutoverWindows)
	if err != nil {
		return nil, err
	}
	if cfg.TargetSettings.WorkerURL != "" {
		if cfg.Target, err = cfg.Target.WithURL(cfg.TargetSettings.WorkerURL); err != nil {
			return nil, err
		}
	}
	if cfg.Lanes == 0 {
		cfg.Lanes = defaultLanes
	}
	return &Engine{cfg: cfg, adapter: a, windows: windows, pace: usualPace, wake: make(chan struct{}, 1), users: map[string]*candidate{}, shelf: map[string]*candidate{}}, nil
}

// Fidelity returns what users keep that are moved by the configured adapter.
func (e *Engine) Fidelity() state.Fidelity { return e.adapter.fidelity() }

// Start begins to move users, until Stop.
func (e *Engine) Start(ctx context.Context) {
	ctx, e.cancel = context.WithCancel(ctx)
	e.wg.Go(func() { e.dispatch(ctx) })
	e.wg.Go(func() { e.listen(ctx) })
}

// Stop ends all workers and waits for them. Their users go on where they stopped.
func (e *Engine) Stop() {
	if e.cancel != nil {
		e.cancel()
	}
	e.wg.Wait()
}

// Offer tells that user has logged in with secret, which the server that serves the user has accepted. It returns at once.
func (e *Engine) Offer(user string, secret backend.Secret) {
	if !e.cfg.OnLogin || !e.cfg.admits(user) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if c := e.shelf[user]; c != nil && now.Before(c.retryAt) { // most logins, in the end: they must cost nothing
		c.keep(secret)
		return
	}
	e.unshelve(user)
	c := e.candidate(user)
	c.keep(secret)
	c.offered, c.retryAt, c.fresh, c.settled = now, time.Time{}, true, false
	e.look()
}

// keep puts secret before the others.
func (c *candidate) keep(secret backend.Secret) {
	c.secrets = slices.DeleteFunc(c.secrets, func(s backend.Secret) bool { return s == secret })
	c.secrets = append([]backend.Secret{secret}, c.secrets...)
	c.secrets = c.secrets[:min(len(c.secrets), maxSecrets)]
}

// Wake makes the engine look at user at once: an operator has changed something.
func (e *Engine) Wake(user string) {
	e.mu.Lock()
	e.unshelve(user)
	if c := e.users[user]; c != nil {
		c.retryAt, c.settled = time.Time{}, false
		c.fresh = c.fresh || c.busy // a worker that is just ending has not seen the change
	}
	e.mu.Unlock()
	e.look()
}

func (e *Engine) candidate(user string) *candidate {
	c := e.users[user]
	if c == nil {
		c = &candidate{}
		e.users[user] = c
	}
	return c
}

func (e *Engine) look() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// needsSecret reports whether a worker can do nothing without the user's own secret.
func (e *Engine) needsSecret() bool { return e.cfg.Source.NeedsSecret() || e.cfg.Target.NeedsSecret() }

// move works on one user, as far as it goes now, and notes when to look again.
func (e *Engine) move(ctx context.Context, user string) {
	e.mu.Lock()
	c := e.users[user]
	seen := candidate{secrets: slices.Clone(c.secrets), patience: c.patience}
	c.fresh, c.hinted = false, false
	e.mu.Unlock()
	out := e.try(ctx, user, seen)
	e.mu.Lock()
	defer e.mu.Unlock()
	c.busy, c.patience = false, c.patience.after(out)
	if c.fresh { // offered again meanwhile
		return
	}
	c.retryAt, c.settled = time.Now().Add(out.again), out.settled
	if (out.waiting != nil || out.rests) && c.hinted { // released, perhaps, just after that was written or read
		c.retryAt = time.Time{}
	}
	if out.late {
		e.shelve(user, c)
	} else if out.over || out.settled && len(c.secrets) == 0 {
		delete(e.users, user) // I8: secrets are kept no longer than they are needed
	}
}

// try takes the lease and runs a worker under it.
func (e *Engine) try(ctx context.Context, user string, c candidate) outcome {
	log := e.cfg.Log.With("user", user)
	rec, err := e.offer(ctx, user)
	switch {
	case errors.Is(err, state.ErrInvalid):
		log.Warn("making the user known", "err", err)
		return outcome{settled: true, over: true}
	case errors.Is(err, state.ErrUntrusted): // the node says so, and who is waited for
		return outcome{again: e.pace.retry}
	case err != nil:
		log.Warn("making the user known", "err", err)
		return outcome{again: e.pace.retry}
	case rec.Phase == state.Finalized:
		return outcome{settled: true, over: true}
	case rec.Phase == state.Migrated: // logins of these must cost no write
		if wait, over := e.nextPass(rec); over || wait > 0 {
			return e.later(wait, over)
		}
	}
	if out, yes := e.rests(rec, c.patience); yes {
		return out
	}
	asked := newRenewal()
	lease, rec, err := e.cfg.Store.Acquire(ctx, user, e.cfg.Owner, leaseTTL)
	switch {
	case errors.Is(err, state.ErrPhase):
		return e.leftAlone(ctx, user)
	case errors.Is(err, state.ErrBusy):
		return outcome{again: leaseTTL / 3, busy: true, watched: e.watches(user, nil)}
	case err != nil:
		log.Warn("taking the lease", "err", err)
		return outcome{again: e.pace.retry}
	}
	w := &worker{e: e, user: user, targetUser: e.cfg.Target.UserName(user), secrets: c.secrets, patience: c.patience, adapter: e.adapterOf(rec), log: log, lease: lease, rec: rec}
	w.renewed.Store(asked)
	w.progress.start(rec.Progress)
	return e.under(ctx, w)
}

// adapterOf returns the adapter that works on a user. Who was begun without one that sets UIDVALIDITY goes on so, whatever the configuration
// says by now: folders that are proven already would keep one of their own, and nobody would translate it.
func (e *Engine) adapterOf(rec state.Record) adapter {
	if rec.Fidelity == state.Translated {
		return imapAdapter{}
	}
	return e.adapter
}

// offer makes the user known. A user whom this node has once sent to the target is repaired if the store does not know: a worker that
// took it at its word would copy old mail over a mailbox that lives there (I7).
func (e *Engine) offer(ctx context.Context, user string) (state.Record, error) {
	rec, err := e.cfg.Store.Offer(ctx, user)
	if err != nil || rec.Phase.OnTarget() || e.cfg.Journal == nil {
		return rec, err
	}
	s, switched, err := e.cfg.Journal.Find(user)
	if err != nil || !switched {
		return rec, err
	}
	e.cfg.Log.Error("the store is older than this node's journal: it did not know that the user was switched", "user", user, "phase", rec.Phase, "migrated", s.Migrated)
	return e.cfg.Store.Repair(ctx, s.Record(), s.Folders)
}

// leftAlone tells the outcome for a user whose phase lets nobody take the lease.
func (e *Engine) leftAlone(ctx context.Context, user string) outcome {
	rec, err := e.cfg.Store.Get(ctx, user)
	if err != nil || rec.Phase != state.Held && rec.Phase != state.Finalized {
		return outcome{again: e.pace.retry}
	}
	return outcome{settled: true, over: rec.Phase.OnTarget()}
}

// under runs w until it is done, fails or loses its lease, and writes how it ended.
func (e *Engine) under(ctx context.Context, w *worker) outcome {
	leased, lost := context.WithCancelCause(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { w.keepLease(leased, lost) })
	err := w.loadFolders(leased)
	if err == nil {
		err = w.run(leased)
	}
	if cause := context.Cause(leased); cause != nil && ctx.Err() == nil {
		err = cause
	}
	if _, held := permanent(err); err != nil && !held && ctx.Err() != nil {
		err = context.Canceled // connections that Stop has closed are no failed try
	}
	lost(nil)
	keeper.Wait()

	// A worker that is told to stop still hands back its user.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	out := w.end(ctx, err)
	w.release(ctx)
	return out
}

package migrate

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// leaseTTL is how long a worker may be out of touch before another one may take over.
const (
	leaseTTL    = 30 * time.Second
	reportEvery = time.Second
)

// worker moves one user, as long as it holds the lease.
type worker struct {
	// Static after construction.
	e          *Engine
	user       string
	targetUser string
	secrets    []backend.Secret
	adapter    adapter
	log        *slog.Logger
	progress   progress

	mu      sync.Mutex // guards what follows; lanes work at once
	lease   state.Lease
	rec     state.Record
	folders map[string]state.Folder
	there   map[string]bool // the folders that the target had when the lease began

	// Changed by the goroutine that runs the worker alone, with mu held.
	lanes []*lane
}

// progress counts what is done. Lanes add to it.
type progress struct {
	folders, total atomic.Int64
	done, bytes    atomic.Int64
	holdMS         atomic.Int64 // of the last cutover
}

// start goes on from what a former worker has reported.
func (p *progress) start(from state.Progress) {
	p.folders.Store(from.Folders)
	p.total.Store(from.Messages)
	p.done.Store(from.MessagesDone)
	p.bytes.Store(from.BytesDone)
	p.holdMS.Store(from.HoldMS)
}

func (p *progress) add(messages, bytes int64) {
	p.done.Add(messages)
	p.bytes.Add(bytes)
}

// run advances the user from phase to phase until there is nothing more to do now, and returns what went wrong. The
// context ends when the lease does.
func (w *worker) run(ctx context.Context) error {
	defer w.closeLanes()
	for {
		step := steps[w.rec.Phase]
		if step == nil {
			return nil
		}
		next, reason, err := step(w, ctx)
		if err != nil {
			return err
		}
		if next == w.rec.Phase {
			return nil
		}
		if err := w.advance(ctx, next, state.Change{Reason: reason, Fidelity: w.adapter.fidelity()}); err != nil {
			return err
		}
	}
}

// steps does the work of a phase and names the phase that follows.
var steps = map[state.Phase]func(*worker, context.Context) (next state.Phase, reason string, err error){
	state.Pending: (*worker).prepare,
	state.Copying: (*worker).copy,
	state.Tailing: (*worker).tail,
	state.Cutover: (*worker).recoverCutover,
}

// advance writes a phase change. The cutover writes its own, and is only read again.
func (w *worker) advance(ctx context.Context, to state.Phase, c state.Change) error {
	if w.rec.Phase == state.Cutover || to == state.Migrated || to == state.Cutover {
		rec, err := w.e.cfg.Store.Get(ctx, w.user)
		if err == nil {
			w.rec = rec
		}
		return err
	}
	rec, err := w.e.cfg.Store.Advance(ctx, w.held(), to, c)
	if err != nil {
		return err
	}
	w.log.Info("phase", "from", w.rec.Phase, "to", to, "reason", c.Reason)
	w.rec = rec
	return nil
}

// held returns the lease as it is now; the cutover replaces it.
func (w *worker) held() state.Lease {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lease
}

func (w *worker) setLease(l state.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lease = l
}

// keepLease renews the lease and reports progress until ctx ends, and calls lost when the lease can no more be
// counted on: when the store says so, or when it has not answered for so long that the lease may have ended, counted
// from when the last renewal began (I6).
func (w *worker) keepLease(ctx context.Context, lost context.CancelCauseFunc) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	renewed, reported := time.Now(), state.Progress{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		began := time.Now()
		if began.Sub(renewed) > leaseTTL/3 {
			err := w.renew(ctx)
			if errors.Is(err, state.ErrLost) {
				err = w.renew(ctx) // the beginning of a cutover may have replaced the lease in between
			}
			if errors.Is(err, state.ErrLost) || err != nil && time.Since(renewed) > leaseTTL-leaseTTL/6 {
				lost(err)
				return
			}
			if err != nil {
				continue
			}
			renewed = began
		}
		if p := w.snapshot(); p != reported && w.report(ctx, p) == nil {
			reported = p
		}
	}
}

// renew and report are bounded, because a store that hangs must not keep the worker from seeing its lease end.
func (w *worker) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTTL/10)
	defer cancel()
	return w.e.cfg.Store.Renew(ctx, w.held(), leaseTTL)
}

func (w *worker) report(ctx context.Context, p state.Progress) error {
	ctx, cancel := context.WithTimeout(ctx, leaseTTL/10)
	defer cancel()
	return w.e.cfg.Store.Report(ctx, w.held(), p)
}

func (w *worker) snapshot() state.Progress {
	return state.Progress{
		Folders: w.progress.folders.Load(), Messages: w.progress.total.Load(),
		MessagesDone: min(w.progress.done.Load(), w.progress.total.Load()), BytesDone: w.progress.bytes.Load(),
		HoldMS: w.progress.holdMS.Load(),
	}
}

// loadFolders reads what former workers have recorded.
func (w *worker) loadFolders(ctx context.Context) error {
	list, err := w.e.cfg.Store.Folders(ctx, w.user)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.folders = make(map[string]state.Folder, len(list))
	for _, f := range list {
		w.folders[f.Name] = f
	}
	return nil
}

func (w *worker) known() map[string]state.Folder {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.folders)
}

func (w *worker) folder(folder string) (state.Folder, note, error) {
	w.mu.Lock()
	f, ok := w.folders[folder]
	w.mu.Unlock()
	if !ok {
		return state.Folder{Name: folder}, note{}, nil
	}
	n, err := readNote(f)
	return f, n, err
}

func (w *worker) putFolder(ctx context.Context, f state.Folder, n note) error {
	f.Engine = n.bytes()
	if err := w.e.cfg.Store.PutFolder(ctx, w.held(), f); errors.Is(err, state.ErrInvalid) {
		return holdf("folder %s: %v", wire.Quoted(f.Name), err)
	} else if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.folders[f.Name] = f
	return nil
}

// begun reports whether the target had the folder when the lease began: to ask the server for one that it does not
// have costs a list of all.
func (w *worker) begun(folder string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.there[folder]
}

// putNote replaces the note of a folder and leaves the rest, and how far the bodies are proven.
func (w *worker) putNote(ctx context.Context, folder string, n note) error {
	f, old, err := w.folder(folder)
	if err != nil {
		return err
	}
	n.Bodies = max(n.Bodies, old.Bodies)
	return w.putFolder(ctx, f, n)
}

// dirty records that the engine is about to write to a folder that was proven before.
func (w *worker) dirty(ctx context.Context, folder string) error {
	_, n, err := w.folder(folder)
	if err != nil || n.Dirty {
		return err
	}
	n.Dirty = true
	return w.putNote(ctx, folder, n)
}

func (w *worker) deleteFolder(ctx context.Context, folder string) error {
	if err := w.e.cfg.Store.DeleteFolder(ctx, w.held(), folder); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.folders, folder)
	return nil
}

func (w *worker) forget(ctx context.Context, known map[string]state.Folder) error {
	for n := range known {
		if err := w.deleteFolder(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// needLanes sees to it that n pairs of connections are open, or as many as are configured.
func (w *worker) needLanes(ctx context.Context, n int) error {
	for len(w.lanes) < min(n, w.e.cfg.Lanes) {
		l, err := w.openLane(ctx)
		if err != nil {
			if len(w.lanes) > 0 { // the server limits connections: fewer will do
				w.log.Info("going on with fewer connections", "lanes", len(w.lanes), "err", err)
				return nil
			}
			return err
		}
		w.mu.Lock()
		w.lanes = append(w.lanes, l)
		w.mu.Unlock()
	}
	return nil
}

// cutLanes closes all connections, whoever uses them now.
func (w *worker) cutLanes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lanes {
		l.close()
	}
}

func (w *worker) closeLanes() {
	w.cutLanes()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lanes = nil
}

// proven reports whether the folder needs no look: nothing has changed in the source since it was proven equal. That
// can be told only with CONDSTORE, because flags change without any other trace.
func (w *worker) proven(m *mailbox) bool {
	f, n, err := w.folder(m.name)
	return err == nil && !n.Dirty && f.HighestModSeq != 0 &&
		f.UIDValidity == m.status.uidValidity && f.UIDNext == m.status.uidNext &&
		f.HighestModSeq == m.status.modSeq && f.Messages == m.status.messages
}

package migrate

import (
	"context"
	"maps"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// What a worker knows of folders is in the store before anything depends on it, and here for all lanes.

// loadFolders reads what former workers have recorded.
func (w *worker) loadFolders(ctx context.Context) error {
	list, err := w.e.cfg.Store.Folders(ctx, w.user)
	if err != nil {
		return err
	}
	if err := w.exceptions.load(ctx, w.e.cfg.Store, w.user); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.folders = make(map[string]state.Folder, len(list))
	w.passed, w.listed, w.refused = map[string]time.Time{}, map[string]digest{}, map[ofFolder]string{}
	w.progress.skipped.Store(0)
	for _, f := range list {
		w.keep(f)
	}
	return nil
}

// keep replaces what is known of a folder. The caller holds mu.
func (w *worker) keep(f state.Folder) {
	w.progress.skipped.Add(hasGaps(f) - hasGaps(w.folders[f.Name]))
	w.folders[f.Name] = f
}

func hasGaps(f state.Folder) int64 { return int64(min(len(f.Skipped), 1)) }

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
	return w.putFolders(ctx, noted(f, n))
}

// noted returns f with the engine's note n.
func noted(f state.Folder, n note) state.Folder {
	f.Engine = n.bytes()
	return f
}

// putFolders records folders with the notes that are in them.
func (w *worker) putFolders(ctx context.Context, folders ...state.Folder) error {
	if len(folders) == 0 {
		return nil
	}
	for i, f := range folders {
		folders[i] = w.named(f)
		if err := folders[i].Check(); err != nil {
			return holdf("folder %s: %v", wire.Quoted(f.Name), err)
		}
	}
	if err := w.e.cfg.Store.PutFolders(ctx, w.held(), folders...); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range folders {
		w.keep(f)
	}
	return nil
}

// begun reports whether the target had the folder when the lease began: to ask the server for one that it does not
// have costs a list of all.
func (w *worker) begun(folder string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.atTarget[folder]
}

// putNote replaces the note of a folder and leaves the rest, how far the bodies are proven, what went wrong there, what was carried
// over beside mail, and that it was or was about to be given a UIDVALIDITY: a dead worker's call may take effect late.
func (w *worker) putNote(ctx context.Context, folder string, n note) error {
	f, old, err := w.folder(folder)
	if err != nil {
		return err
	}
	n.Bodies, n.Given, n.carried = max(n.Bodies, old.Bodies), n.Given || old.Given, old.carried
	n.Wary, n.Astray = max(n.Wary, old.Wary), n.Astray || old.Astray
	return w.putFolder(ctx, f, n)
}

// reached notes that all UIDs of folder below next are ours. The store is not told: what it has, the last batch, says as much.
func (w *worker) reached(folder string, next uint32) error {
	f, n, err := w.folder(folder)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.folders[folder] = noted(f, note{Done: next, Dirty: true, Bodies: n.Bodies, Given: n.Given, Wary: n.Wary, carried: n.carried})
	return nil
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
	if err := w.deleteExceptions(ctx, folder); err != nil {
		return err
	}
	return w.deleteRecord(ctx, folder)
}

func (w *worker) deleteExceptions(ctx context.Context, folder string) error {
	if !w.exceptions.drop(folder) {
		return nil
	}
	return w.e.cfg.Store.DeleteExceptions(ctx, w.held(), folder)
}

// deleteRecord is deleteFolder for one whose exceptions stay.
func (w *worker) deleteRecord(ctx context.Context, folder string) error {
	if err := w.e.cfg.Store.DeleteFolder(ctx, w.held(), folder); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep(state.Folder{Name: folder})
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

// proven reports whether the folder needs no look: nothing has changed in the source since it was proven equal, it could be
// opened when it was last tried, and no client says otherwise. That can be told only with CONDSTORE, because flags change
// without any other trace.
func (w *worker) proven(m *mailbox) bool {
	f, n, err := w.folder(m.name)
	return err == nil && !n.Dirty && f.HighestModSeq != 0 &&
		f.UIDValidity == m.status.uidValidity && f.UIDNext == m.status.uidNext &&
		f.HighestModSeq == m.status.modSeq && f.Messages == m.status.messages && !w.staysBehind(m.name) && !w.hinted(m.name)
}

// hasListed notes what the source listed of a folder that has just been proven equal.
func (w *worker) hasListed(folder string, d digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed[folder] = d
}

// lists reports whether the source lists a folder just as it did when that was proven equal under this lease. Without CONDSTORE
// this stands in for proven, which does not look at the target either: nobody else writes there.
func (w *worker) lists(m *mailbox, d digest) bool {
	f, n, err := w.folder(m.name)
	w.mu.Lock()
	defer w.mu.Unlock()
	return err == nil && !n.Dirty && d == w.listed[m.name] && m.status == (status{f.UIDValidity, f.UIDNext, f.Messages, f.HighestModSeq})
}

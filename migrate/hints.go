package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// hints is what the nodes told when they acknowledged a hold: which folders clients have changed, and which UIDs they
// were told are stored. A source that is replicated, or that caches, may show the worker's connections yesterday's
// state; then nothing else tells what is missing (I1). What was only flagged or expunged leaves no number to compare: there
// the look at the folder is all.
type hints struct {
	told    []state.Touched
	changed map[string]time.Time // by folder, no earlier than its last change; "" for those that were not kept apart
	gone    map[string]time.Time // no earlier than the folder was deleted or given another name
}

// takeHints reads what came with the acknowledgements, which are all there. The nodes' clocks are not compared with this
// one: an age that was told before now dates a change no earlier than it was.
func (w *worker) takeHints(ctx context.Context, attempt string) error {
	told, err := w.e.cfg.Store.Touched(ctx, w.user, attempt)
	if err != nil {
		return err
	}
	now := time.Now()
	w.hints = hints{told, map[string]time.Time{}, map[string]time.Time{}}
	for _, t := range told {
		at := now.Add(-t.Age)
		if at.After(w.hints.changed[t.Folder]) {
			w.hints.changed[t.Folder] = at
		}
		if t.Gone && at.After(w.hints.gone[t.Folder]) {
			w.hints.gone[t.Folder] = at
		}
	}
	return nil
}

// hinted reports whether a client has changed the folder since the last pass over it began. Such a folder is passed
// again, whatever its status says.
func (w *worker) hinted(folder string) bool {
	w.mu.Lock()
	passed := w.passed[folder]
	w.mu.Unlock()
	return w.hints.changed[folder].After(passed) || w.hints.changed[""].After(passed)
}

// hasPassed notes that a pass over the folder, which proved it equal, began at that time.
func (w *worker) hasPassed(folder string, began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed[folder] = began
}

// allListed demands of the round's survey the folders that clients have changed, if another look shows them: Dovecot's LIST passes over a
// folder now and then that was created a moment ago.
func (w *worker) allListed() error {
	var missing []string
	for _, t := range w.hints.told {
		if t.Folder != "" && !t.Gone && !w.surveyed.has(t.Folder) && !w.leftOut(t.Folder) {
			missing = append(missing, t.Folder)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	again, err := w.lanes[0].src.uses()
	if err != nil {
		return err
	}
	for _, f := range missing {
		if again.has(f) {
			return fmt.Errorf("the source has listed its folders without %s, which is there", wire.Quoted(f))
		}
	}
	return nil
}

// promisesKept demands that what is proven equal holds every UID that a client was told is stored.
func (w *worker) promisesKept() error {
	known := w.known()
	for _, t := range w.hints.told {
		if t.UID == 0 || w.leftOut(t.Folder) || w.staysBehind(t.Folder) {
			continue
		}
		if t.Folder == "" {
			return errors.New("clients have stored mail in too many folders of late to tell whether the source shows all of it")
		}
		f, ok := known[t.Folder]
		switch {
		case ok && (f.UIDValidity == t.UIDValidity && f.UIDNext > t.UID || f.UIDValidity > t.UIDValidity):
			continue // a greater UIDVALIDITY is a later folder's (RFC 9051, 2.3.1.1)
		case ok:
			return fmt.Errorf("the source does not show uid %d of %s yet, which a client was told is stored", t.UID, wire.Quoted(t.Folder))
		}
		if err := w.keptElsewhere(t, known); err != nil {
			return err
		}
	}
	return nil
}

// keptElsewhere is promisesKept for a folder that the source does not list: because it is gone since, or because the client
// knows it by another name than the list has, as with a second, hidden namespace.
func (w *worker) keptElsewhere(t state.Touched, known map[string]state.Folder) error {
	if !w.hints.gone[t.Folder].Before(w.hints.changed[t.Folder]) {
		return nil // nobody has changed it since
	}
	s, err := w.lanes[0].src.statusOf(t.Folder)
	if err != nil {
		return err
	}
	for n, f := range known {
		if s != nil && s.uidValidity == t.UIDValidity && s.uidNext > t.UID &&
			f.UIDValidity == s.uidValidity && f.UIDNext == s.uidNext && f.Messages == s.messages {
			w.log.Info("a client knows a folder by another name", "folder", n, "name", t.Folder)
			return nil
		}
	}
	return fmt.Errorf("the source does not show the folder %s yet, of which a client was told that uid %d is stored", wire.Quoted(t.Folder), t.UID)
}

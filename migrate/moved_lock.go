package migrate

import (
	"time"

	"imapferry/state"
)

// A session of Dovecot that reads a Maildir folder in the very moment in which somebody renames it leaves its lock, dovecot-uidlist.lock,
// behind under the new name. The lock names a process that lives, so nobody else gets at the messages of that folder before that
// session ends or the lock is two minutes old (2.3.19). A worker's connections stay open between rounds, which is long enough to keep the
// user and the worker itself waiting; clients' sessions do the same to each other, and are not ours to end.

// lockPatience is how long a survey may take before the connections that do nothing meanwhile are ended: one of them may be what it waits for.
var lockPatience = 10 * time.Second

// surveyUnlocked is the survey of the source, without a lock of ours in its way.
func (w *worker) surveyUnlocked() (*account, error) {
	first, ended := w.lanes[0], make(chan struct{})
	late := time.AfterFunc(lockPatience, func() {
		w.dropIdle()
		close(ended)
	})
	src, err := first.src.survey()
	if !late.Stop() {
		<-ended
	}
	return src, err
}

// dropIdle ends all lanes but the first. They are opened again as they are needed.
func (w *worker) dropIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lanes[1:] {
		l.abort()
	}
	clear(w.lanes[1:])
	w.lanes = w.lanes[:1]
}

// unlockRenamed gives up whatever locks our connections may have left in folders that were just renamed. Under the hold there is no time for it.
func (w *worker) unlockRenamed() error {
	if w.rec.Phase == state.Cutover {
		return nil
	}
	w.dropIdle()
	return w.lanes[0].reopen()
}

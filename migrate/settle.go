package migrate

import (
	"context"
	"fmt"
	"time"

	"imapferry/internal/wire"
)

// A dead worker's last batch may still stand, whole, in a buffer of the target, and take effect after a new worker
// has looked. It is given pace.settle, and again as long as messages come one by one. A batch that comes later still shows
// as shifted UIDs.
const settleSteps = 20

// settle waits until the batch that the note tells of is in the target, or is unlikely to come any more, and returns
// the folder's status.
func (w *worker) settle(ctx context.Context, l *lane, folder string, n note) (status, error) {
	due := n.Done
	if len(n.Intent) > 0 {
		due = n.Intent[len(n.Intent)-1].UID + 1
	}
	var deadline time.Time
	for seen := uint32(0); ; {
		s, err := l.dst.statusOf(folder)
		if err != nil {
			return status{}, err
		}
		if s == nil {
			return status{}, fmt.Errorf("target folder %s is gone just now", wire.Quoted(folder))
		}
		if s.uidNext > seen {
			seen, deadline = s.uidNext, time.Now().Add(w.e.pace.settle)
		}
		if s.uidNext >= due || time.Now().After(deadline) {
			return *s, nil
		}
		select {
		case <-ctx.Done():
			return status{}, context.Cause(ctx)
		case <-time.After(w.e.pace.settle / settleSteps):
		}
	}
}

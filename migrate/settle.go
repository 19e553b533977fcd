package migrate

import (
	"context"
	"fmt"
	"time"

	"imapferry/internal/wire"
)

// A dead worker's last batch may still stand, whole, in a buffer of the target, and take effect after a new worker
// has looked. It is given this long. A batch that comes later still shows as shifted UIDs.
const (
	settleTime = 2 * time.Second
	settleStep = 100 * time.Millisecond
)

// settle waits until the batch that the note tells of is in the target, or is unlikely to come any more, and returns
// the folder's status.
func (w *worker) settle(ctx context.Context, l *lane, folder string, n note) (status, error) {
	due := n.Done
	if len(n.Intent) > 0 {
		due = n.Intent[len(n.Intent)-1].UID + 1
	}
	deadline := time.Now().Add(settleTime)
	for {
		s, err := l.dst.statusOf(folder)
		if err != nil {
			return status{}, err
		}
		if s == nil {
			return status{}, fmt.Errorf("target folder %s is gone just now", wire.Quoted(folder))
		}
		if s.uidNext >= due || time.Now().After(deadline) {
			return *s, nil
		}
		select {
		case <-ctx.Done():
			return status{}, context.Cause(ctx)
		case <-time.After(settleStep):
		}
	}
}

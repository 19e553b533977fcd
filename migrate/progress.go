package migrate

import (
	"sync/atomic"
	"time"

	"imapferry/state"
)

// progress counts what is done. Lanes add to it.
type progress struct {
	folders, total atomic.Int64
	excluded       atomic.Int64
	done, bytes    atomic.Int64
	holdMS         atomic.Int64 // of the last cutover
	exceptions     atomic.Int64
	skipped        atomic.Int64 // folders with gaps

	stragglers, left        atomic.Int64
	lastStraggler, lastPass atomic.Int64 // microseconds since 1970; 0: none
}

// start goes on from what a former worker has reported.
func (p *progress) start(from state.Progress) {
	p.folders.Store(from.Folders)
	p.excluded.Store(from.Excluded)
	p.total.Store(from.Messages)
	p.done.Store(from.MessagesDone)
	p.bytes.Store(from.BytesDone)
	p.holdMS.Store(from.HoldMS)
	p.exceptions.Store(from.Exceptions)
	p.skipped.Store(from.Skipped)
	p.stragglers.Store(from.Stragglers)
	p.left.Store(from.StragglersLeft)
	p.lastStraggler.Store(micros(from.LastStraggler))
	p.lastPass.Store(micros(from.LastPass))
}

func (p *progress) add(messages, bytes int64) {
	p.done.Add(messages)
	p.bytes.Add(bytes)
}

func (w *worker) snapshot() state.Progress {
	return state.Progress{
		Folders: w.progress.folders.Load(), Excluded: w.progress.excluded.Load(), Messages: w.progress.total.Load(),
		MessagesDone: min(w.progress.done.Load(), w.progress.total.Load()), BytesDone: w.progress.bytes.Load(),
		HoldMS: w.progress.holdMS.Load(), Exceptions: w.progress.exceptions.Load(), Skipped: w.progress.skipped.Load(),
		Stragglers: w.progress.stragglers.Load(), StragglersLeft: w.progress.left.Load(),
		LastStraggler: fromMicros(w.progress.lastStraggler.Load()), LastPass: fromMicros(w.progress.lastPass.Load()),
	}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// Stragglers are messages that the source has got after the switch, mostly from an MTA that still delivers there. A
// pass brings each over to the target once.
//
// A straggler gets a new UID: the target has given out the source's UIDs to other mail. So the UID does not tell
// whether it was brought over; the folder's note does, which says up to which UID of the source all is done. A batch
// that is about to be appended is noted before. After a crash it is looked for in the target by its bytes, as every
// straggler is before it is appended: a message that was moved within the source shows there as a new one, and the
// target has it.
//
// The row of the record that the relay and Verify rely on stays as it was at the switch.

// late is what the engine remembers of a folder of the source after the switch.
type late struct {
	UIDValidity uint32   `json:"v"`           // of the folder that the rest is about
	UIDNext     uint32   `json:"n"`           // messages below are done: brought over, found in the target, or left
	ModSeq      uint64   `json:"s,omitempty"` // up to which flags were followed
	Brought     int64    `json:"c,omitempty"` // messages brought over
	Left        wire.Set `json:"l,omitempty"` // messages that the target does not take, or the source does not give
	Trying      *attempt `json:"t,omitempty"` // what is about to be appended
}

// attempt is a batch of stragglers on its way.
type attempt struct {
	UIDs    wire.Set `json:"i"` // in the source
	Folder  []byte   `json:"f"` // in the target; raw
	UIDNext uint32   `json:"n"` // of that folder before
}

// maxLeft bounds Left, and with it the note.
const maxLeft = 1000

// lateOf returns what is known of the folder m of the source. One that is another one than before is new.
func lateOf(f state.Folder, n note, m *mailbox) late {
	t := late{UIDValidity: f.UIDValidity, UIDNext: f.UIDNext, ModSeq: f.HighestModSeq}
	if n.Late != nil {
		t = *n.Late
	}
	if t.UIDValidity != m.status.uidValidity {
		t = late{UIDValidity: m.status.uidValidity, UIDNext: 1, Brought: t.Brought}
	}
	return t
}

// straggling is one pass over a user. It belongs to one goroutine.
type straggling struct {
	*lane
	ctx    context.Context
	source *account
	target *account // nil until something needs it
}

// stragglers makes one pass. A folder that vanishes meanwhile is left to the next one, and one that could not be brought
// over does not keep the others from it.
func (w *worker) stragglers(ctx context.Context) (state.Phase, string, error) {
	began := time.Now()
	if err := w.needLanes(ctx, 1); err != nil {
		return 0, "", err
	}
	p := &straggling{lane: w.lanes[0], ctx: ctx}
	if err := p.learnNames(); err != nil {
		return 0, "", err
	}
	var err error
	if p.source, err = p.src.survey(); err != nil {
		return 0, "", err
	}
	var failures []error
	for n, m := range p.source.mailboxes {
		if m.unopened != "" && !w.staysBehind(n) {
			failures = append(failures, fmt.Errorf("%s: the source does not open it: %s", wire.Quoted(n), m.unopened))
		}
	}
	for _, n := range p.source.names() {
		if w.staysBehind(n) {
			continue // it stayed behind at the switch
		}
		err := p.folder(p.source.mailboxes[n])
		if err == nil || errors.Is(err, errVanished) {
			continue
		}
		failures = append(failures, fmt.Errorf("%s: %w", wire.Quoted(n), err))
		if _, held := permanent(err); !held && !errors.As(err, new(*backend.Refused)) {
			return 0, "", errors.Join(failures...)
		}
		if err := p.reopen(); err != nil {
			return 0, "", errors.Join(append(failures, err)...)
		}
	}
	if err := errors.Join(append(failures, p.unpark())...); err != nil {
		return 0, "", err
	}
	if _, err := w.countExceptions(ctx); err != nil {
		return 0, "", err
	}
	w.progress.lastPass.Store(began.UnixMicro())
	return state.Migrated, "", w.countLate()
}

// folder brings over what is new in one folder of the source.
func (p *straggling) folder(m *mailbox) error {
	f, n, err := p.w.folder(m.name)
	if err != nil {
		return err
	}
	t := lateOf(f, n, m)
	if m.status.uidNext > t.UIDNext || len(t.Left) > 0 {
		if err := p.bring(m, &t); err != nil {
			return err
		}
	}
	return p.followFlags(m, f, n, &t)
}

// put records what is done of a folder.
func (p *straggling) put(folder string, t *late) error {
	f, n, err := p.w.folder(folder)
	if err != nil {
		return err
	}
	done := *t
	n.Late, n.carried = &done, carried{} // which is of no use any more
	if err := p.w.putFolder(p.ctx, f, n); err != nil {
		return err
	}
	return p.w.countLate()
}

// targetFolders returns the target's folders.
func (p *straggling) targetFolders() (*account, error) {
	if p.target != nil {
		return p.target, nil
	}
	target, err := p.dst.survey()
	if err == nil {
		err = target.allOpened()
	}
	if err != nil {
		return nil, err
	}
	p.target = target
	return target, nil
}

// countLate sums up what the notes of all folders say.
func (w *worker) countLate() error {
	var brought, left int64
	for _, f := range w.known() {
		n, err := readNote(f)
		if err != nil {
			return err
		}
		if n.Late != nil {
			brought += n.Late.Brought
			left += int64(n.Late.Left.Len())
		}
	}
	if brought > w.progress.stragglers.Load() || left > w.progress.left.Load() {
		w.progress.lastStraggler.Store(time.Now().UnixMicro())
	}
	w.progress.stragglers.Store(brought)
	w.progress.left.Store(left)
	return nil
}

// leftBehind tells the operator what could not be brought over; "" if that is nothing.
func (w *worker) leftBehind() string {
	n := w.progress.left.Load()
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d stragglers could not be brought over; see imapferry exceptions %s", n, w.user)
}

package migrate

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// Bounds of a batch. A transaction costs the target a few milliseconds whatever it holds, so batches are large;
// memory does not depend on them, because bodies are passed on as they come.
const (
	batchMessages = maxIntent
	batchBytes    = 16 << 20

	// A longer gap is made by the adapter; without MULTIAPPEND each placeholder costs a round trip.
	inlineGap      = 1000
	inlineGapAlone = 8
)

// appender writes messages of one folder to the target in UID order, each at its own UID.
//
// The order of steps makes a crash harmless at every point: bodies are streamed into one MULTIAPPEND (RFC 3502),
// which takes effect whole when its last line end arrives; before that is sent, the store has the intent, which says
// what the target then holds. Without MULTIAPPEND each message takes effect by itself, and the caller has recorded
// the intent of many at once, from a listing.
type appender struct {
	dst    *client
	folder string
	next   uint32 // the UID that the target gives next, all batches under way included
	record func(note) error
	skip   func(from, to uint32) error
	count  func(messages, bytes int64)

	multi  bool // MULTIAPPEND and LITERAL+
	open   bool // a command has begun
	tag    string
	batch  []intent
	plan   []intent // without MULTIAPPEND: what was recorded of the messages that come
	bytes  int64
	made   int64    // messages in the batch that are not placeholders
	filled wire.Set // placeholders to expunge
}

// add appends one message, filling the gap before it. It reads body to its end.
func (a *appender) add(m *message, size int64, body io.Reader) error {
	if m.uid < a.next {
		return fmt.Errorf("source sent uid %d where %d or more was due", m.uid, a.next)
	}
	if err := a.fill(m.uid); err != nil {
		return err
	}
	if err := a.begin(m.flags, m.raw, size); err != nil {
		return err
	}
	if n, err := io.Copy(a.dst.w, body); err != nil && a.dst.w.Flush() != nil { // the target's fault, not the source's
		return a.refused(m.uid, m.uid, a.dst.lastWords(a.tag, err))
	} else if err != nil {
		return fmt.Errorf("copy body of uid %d: %w", m.uid, err)
	} else if n != size {
		return fmt.Errorf("copy body of uid %d: %d bytes instead of %d", m.uid, n, size)
	}
	a.made++
	return a.took(intent{m.uid, m.date.Unix(), size})
}

// fill makes to the next UID, by placeholders or, if there would be many, by the adapter.
func (a *appender) fill(to uint32) error {
	gap := to - a.next
	if gap > inlineGap || (gap > inlineGapAlone && !a.multi) {
		if err := a.flush(); err != nil {
			return err
		}
		from := a.next
		if err := a.record(note{Done: from, Gap: to, Intent: a.plan, Dirty: true}); err != nil {
			return err
		}
		if err := a.skip(from, to); err != nil {
			return err
		}
		a.next = to
		return a.record(note{Done: to, Intent: a.plan, Dirty: true})
	}
	for a.next < to {
		a.filled.Add(a.next)
		if err := a.placeholder(); err != nil {
			return err
		}
	}
	return nil
}

// begin writes all that stands before a body.
func (a *appender) begin(f flags, date string, size int64) error {
	if !a.open {
		tag, err := a.dst.startAppend(a.folder)
		if err != nil {
			return err
		}
		a.tag, a.open = tag, true
	}
	if a.multi {
		_, err := fmt.Fprintf(a.dst.w, " (%s) %s {%d+}\r\n", f, wire.Quoted(date), size)
		return err
	}
	if _, err := fmt.Fprintf(a.dst.w, " (%s) %s {%d}\r\n", f, wire.Quoted(date), size); err != nil {
		return err
	}
	if err := a.dst.awaitContinue(); err != nil {
		return a.refused(a.next, a.next, err)
	}
	return nil
}

// refused says which messages the target did not take. What trying again cannot mend holds the user.
func (a *appender) refused(from, to uint32, err error) error {
	what := fmt.Sprintf("append uid %s to %s", wire.Range{From: from, To: to}, wire.Quoted(a.folder))
	var r *backend.Refused
	if errors.As(err, &r) {
		switch strings.ToUpper(r.Code) {
		case "OVERQUOTA", "TOOBIG", "LIMIT":
			return holdf("%s: %v", what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// took notes that the message of i was written whole.
func (a *appender) took(i intent) error {
	a.batch = append(a.batch, i)
	a.bytes += i.Size
	a.next = i.UID + 1
	if !a.multi || len(a.batch) >= batchMessages || a.bytes >= batchBytes {
		return a.flush()
	}
	return nil
}

// flush commits the batch and demands that the target gave it exactly the UIDs that were due.
func (a *appender) flush() error {
	if !a.open {
		return nil
	}
	first := a.batch[0].UID
	if a.multi {
		if err := a.record(note{Done: first, Intent: a.batch, Dirty: true}); err != nil {
			return err
		}
	}
	a.open = false
	a.dst.w.WriteString("\r\n")
	res, err := a.dst.finish(a.tag, nil)
	if err != nil {
		return a.refused(first, a.next-1, err)
	}
	if err := a.check(res.code, wire.Range{From: first, To: a.next - 1}); err != nil {
		return err
	}
	a.count(a.made, a.bytes)
	a.batch, a.bytes, a.made = a.batch[:0], 0, 0
	return nil
}

// check compares APPENDUID (RFC 4315) with the UIDs that were due.
func (a *appender) check(code string, want wire.Range) error {
	arg, ok := argument(code, "APPENDUID")
	if !ok {
		return holdf("target says no APPENDUID for %s; a UID-exact copy needs UIDPLUS (RFC 4315)", wire.Quoted(a.folder))
	}
	_, uids, _ := strings.Cut(arg, " ")
	got, err := wire.ParseSet(uids)
	if err != nil {
		return fmt.Errorf("read APPENDUID of %s: %w", wire.Quoted(a.folder), err)
	}
	if len(got) != 1 || got[0] != want {
		return shifted{a.folder, want.String(), got.String()}
	}
	return nil
}

// startAppend begins an APPEND, up to and without the space before its first message.
func (c *client) startAppend(folder string) (tag string, err error) {
	c.tag++
	tag = fmt.Sprintf("w%d", c.tag)
	c.w.WriteString(tag + " APPEND ")
	return tag, c.writeName(folder)
}

// expunge removes uids of the folder from the target, and nothing else.
func (c *client) expunge(folder string, uids wire.Set) error {
	if len(uids) == 0 {
		return nil
	}
	if c.selected != folder || c.readOnly {
		if _, err := c.openFolder(folder, true); err != nil {
			return err
		}
	}
	for _, part := range uids.Split(maxSetText) {
		if _, err := c.do(nil, "UID STORE", part.String(), `+FLAGS.SILENT (\Deleted)`); err != nil {
			return fmt.Errorf("mark for expunge in %s: %w", wire.Quoted(folder), err)
		}
		if _, err := c.do(nil, "UID EXPUNGE", part.String()); err != nil {
			return fmt.Errorf("expunge in %s: %w", wire.Quoted(folder), err)
		}
	}
	return nil
}

// maxSetText bounds the text of a UID set in one command: servers refuse lines above 8 KiB and more.
const maxSetText = 4000

// placeholder appends one placeholder by itself.
func (a *appender) placeholder() error {
	if err := a.begin(`\Deleted`, placeholderDate, int64(len(placeholder))); err != nil {
		return err
	}
	a.dst.w.WriteString(placeholder)
	return a.took(placeholderIntent(a.next))
}

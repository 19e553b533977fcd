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

	// A longer gap is made by the adapter; without MULTIAPPEND each placeholder costs a transaction, and a round trip if nothing
	// may be under way behind it.
	inlineGap      = 1000
	inlineGapPiped = 100
	inlineGapAlone = 8

	// A larger message goes alone, and the target may refuse it before it is sent.
	aloneBytes = 1 << 20
)

// appender writes messages of one folder to the target in UID order, each at its own UID.
//
// The order of steps makes a crash harmless at every point: bodies are streamed into one MULTIAPPEND (RFC 3502),
// which takes effect whole when its last line end arrives; before that is sent, the store has the intent, which says
// what the target then holds. Without MULTIAPPEND each message takes effect by itself, with others on their way behind it
// where that is worth the risk (see flight), and the caller has recorded the intent of many at once, from a listing.
type appender struct {
	dst    *client
	folder string
	next   uint32 // the UID that the target gives next, all batches under way included
	record func(note) error
	skip   func(from, to uint32) error
	count  func(messages, bytes int64)

	multi  bool // MULTIAPPEND and LITERAL+
	open   bool // a command has begun
	alone  bool // the command under way has one message, by a synchronizing literal
	tag    string
	batch  []intent
	expect listing  // the messages that the source must send next, if that is known
	bytes  int64    // in the batch, or under way
	made   int64    // messages in the batch that are not placeholders
	filled wire.Set // placeholders to expunge
	sent   listing  // messages that are not placeholders

	// Without MULTIAPPEND:
	plan   []intent // what was recorded of the messages that come
	window int      // how many APPENDs may be under way while the next one is written
	wary   uint32   // note.Wary
	flying []flight // under way, in order
	sure   uint32   // all UIDs below that were given since next was set are ours, as the target said
}

// add appends one message, filling the gap before it. It reads body to its end.
func (a *appender) add(m *message, size int64, body io.Reader) error {
	if m.uid < a.next {
		return fmt.Errorf("source sent uid %d where %d or more was due", m.uid, a.next)
	}
	if err := a.expected(m.uid); err != nil {
		return err
	}
	if err := a.fill(m.uid); err != nil {
		return err
	}
	if size > a.dst.most() || m.uid == a.wary {
		if err := a.flush(); err != nil {
			return err
		}
		a.alone = true
	}
	if err := a.begin(m.flags, m.raw, size); err != nil {
		return err
	}
	if n, err := io.Copy(a.dst.w, body); err != nil && a.dst.w.Flush() != nil { // the target's fault, not the source's
		return a.refused(m.uid, m.uid, a.dst.lastWords(a.tag, err))
	} else if err != nil {
		return unread{m.uid, fmt.Errorf("copy body of uid %d: %w", m.uid, err)}
	} else if n != size {
		return fmt.Errorf("copy body of uid %d: %d bytes instead of %d", m.uid, n, size)
	}
	a.made++
	a.sent = append(a.sent, message{uid: m.uid, date: m.date, odd: m.odd, flags: m.flags})
	return a.took(intent{m.uid, m.date.Unix(), size})
}

// expected demands that the source passes over no message below uid that it lists.
func (a *appender) expected(uid uint32) error {
	if len(a.expect) > 0 && a.expect[0].uid < uid {
		return passedOver("source", a.folder, a.expect[0].uid)
	}
	if len(a.expect) > 0 && a.expect[0].uid == uid {
		a.expect = a.expect[1:]
	}
	return nil
}

// fill makes to the next UID, by placeholders or, if there would be many, by the adapter.
func (a *appender) fill(to uint32) error {
	gap := to - a.next
	if gap > a.inline() {
		if err := a.flush(); err != nil {
			return err
		}
		from := a.next
		if err := a.record(note{Done: from, Gap: to, Intent: a.plan, Loose: !a.multi, Dirty: true}); err != nil {
			return err
		}
		if err := a.skip(from, to); err != nil {
			return err
		}
		a.next = to
		return a.record(note{Done: to, Intent: a.plan, Loose: !a.multi, Dirty: true})
	}
	if gap > 0 && !a.multi && (len(a.plan) == 0 || to > a.plan[len(a.plan)-1].UID) { // behind all that was recorded
		if err := a.flush(); err != nil {
			return err
		}
		if err := a.record(note{Done: a.next, Gap: to, Dirty: true}); err != nil {
			return err
		}
	}
	for a.next < to {
		a.filled.Add(a.next)
		if err := a.placeholder(); err != nil {
			return err
		}
	}
	return nil
}

// inline is the longest gap that is filled by placeholders among the messages.
func (a *appender) inline() uint32 {
	switch {
	case a.multi:
		return inlineGap
	case a.window > 0:
		return inlineGapPiped
	}
	return inlineGapAlone
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
	if !a.alone && a.dst.nonSync(size) {
		_, err := fmt.Fprintf(a.dst.w, " (%s) %s {%d+}\r\n", f, wire.Quoted(date), size)
		return err
	}
	if _, err := fmt.Fprintf(a.dst.w, " (%s) %s {%d}\r\n", f, wire.Quoted(date), size); err != nil {
		return err
	}
	if err := a.dst.awaitContinue(); err != nil {
		return a.refused(a.next, a.next, err)
	}
	return a.land(len(a.flying)) // the target has taken a look at them, and must not be given a body to store out of place
}

// refused says which messages the target did not take. What trying again cannot mend holds the user.
func (a *appender) refused(from, to uint32, err error) error {
	what := fmt.Sprintf("append uid %s to %s", wire.Range{From: from, To: to}, wire.Quoted(a.folder))
	var r *backend.Refused
	if errors.As(err, &r) {
		switch codeWord(r) {
		case "OVERQUOTA":
			return holdf("%s: %v; raise the quota at the target, then retry", what, err)
		}
		if refusesMessage(r) {
			return refusal{to, fmt.Errorf("%s: %w", what, err)}
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// took notes that the message of i was written whole.
func (a *appender) took(i intent) error {
	a.bytes += i.Size
	a.next = i.UID + 1
	if !a.multi {
		return a.takeOff(i)
	}
	a.batch = append(a.batch, i)
	if a.alone || len(a.batch) >= batchMessages || a.bytes >= batchBytes {
		return a.flush()
	}
	return nil
}

// flush commits the batch and demands that the target gave it exactly the UIDs that were due.
func (a *appender) flush() error {
	if !a.multi {
		return a.land(0)
	}
	if !a.open {
		return nil
	}
	first := a.batch[0].UID
	if err := a.record(note{Done: first, Intent: a.batch, Dirty: true}); err != nil {
		return err
	}
	a.open, a.alone = false, false
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

// check compares APPENDUID with the UIDs that were due.
func (a *appender) check(code string, want wire.Range) error {
	got, err := a.given(code)
	if err == nil && (len(got) != 1 || got[0] != want) {
		err = shifted{a.folder, want.String(), got.String()}
	}
	return err
}

// given returns the UIDs that APPENDUID (RFC 4315) names.
func (a *appender) given(code string) (wire.Set, error) {
	arg, ok := argument(code, "APPENDUID")
	if !ok {
		return nil, holdf("target says no APPENDUID for %s; a UID-exact copy needs UIDPLUS (RFC 4315); enable it there, then retry", wire.Quoted(a.folder))
	}
	_, uids, _ := strings.Cut(arg, " ")
	got, err := wire.ParseSet(uids)
	if err != nil {
		return nil, fmt.Errorf("read APPENDUID of %s: %w", wire.Quoted(a.folder), err)
	}
	return got, nil
}

// startAppend begins an APPEND, up to and without the space before its first message.
func (c *client) startAppend(folder string) (tag string, err error) {
	tag = c.nextTag()
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
		marked, err := c.start("UID STORE", part.String(), `+FLAGS.SILENT (\Deleted)`)
		if err != nil {
			return err
		}
		expunged, err := c.start("UID EXPUNGE", part.String())
		if err != nil {
			return err
		}
		if _, err := c.finish(marked, nil); err != nil {
			return fmt.Errorf("mark for expunge in %s: %w", wire.Quoted(folder), err)
		}
		if _, err := c.finish(expunged, nil); err != nil {
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

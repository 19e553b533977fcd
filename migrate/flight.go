package migrate

import (
	"errors"
	"fmt"

	"imapferry/internal/wire"
)

// A target without MULTIAPPEND takes each message by itself, and with a round trip for each a copy would be as slow as the way there is
// long. So APPENDs are sent one behind the other, and their answers are taken in order, whatever order they come in.
//
// The risk is a refusal: the messages behind it land, each one UID below its own. Then the answers to all of them are awaited, so that none
// can come into the folder later, and the folder is taken away and copied anew (shifted); the message goes alone then, and
// with a second one of the kind all do (note.Wary). A server that closes the connection over a message leaves open what
// has landed; that is recorded, and found out by the next try. A crash leaves any of the messages under way in the target, usually the
// first ones: the note says which may be there, and bytes are compared where dates and sizes leave it open (note.doubts).

// flightWindow bounds the APPENDs under way. Their answers, some 200 bytes each, fit into a receive buffer many times, so that a
// server can always get rid of them and reads on while a body is written to it.
const flightWindow = 100

// flight is an APPEND of one message whose answer was not taken so far.
type flight struct {
	tag  string
	uid  uint32
	size int64
	made int64 // 0 for a placeholder
}

// takeOff ends the APPEND of i, and waits for others if too many are under way.
func (a *appender) takeOff(i intent) error {
	a.dst.w.WriteString("\r\n")
	a.flying = append(a.flying, flight{a.tag, i.UID, i.Size, a.made})
	alone := a.alone
	a.open, a.alone, a.made = false, false, 0
	switch {
	case alone || a.bytes >= batchBytes:
		return a.land(0)
	case len(a.flying) > a.window:
		return a.land(a.window / 2) // not one by one, so that what is written next goes out in large pieces
	}
	return nil
}

// land takes the answers to APPENDs under way, waiting for them until at most left are out. The target must have given each
// exactly the UID that was due.
func (a *appender) land(left int) error {
	for len(a.flying) > left || len(a.flying) > 0 && a.dst.answered(a.flying[0].tag) {
		f := a.flying[0]
		got, err := a.landed(f)
		if err != nil || len(got) != 1 || got[0] != (wire.Range{From: f.uid, To: f.uid}) {
			return a.astray(got, err)
		}
		a.flying, a.bytes, a.sure = a.flying[1:], a.bytes-f.size, f.uid+1
		a.count(f.made, f.size)
	}
	return nil
}

// landed waits for the answer to an APPEND and returns the UID that it names.
func (a *appender) landed(f flight) (wire.Set, error) {
	res, err := a.dst.finish(f.tag, nil)
	if err != nil {
		return nil, err
	}
	return a.given(res.code)
}

// astray finds out what has become of all that is under way. The first of it was refused, which is the cause, or was given the UIDs got.
func (a *appender) astray(got wire.Set, cause error) error {
	first, behind := a.flying[0].uid, a.flying[1:]
	a.flying, a.bytes, a.sure = nil, 0, first
	if cause != nil && !declined(cause) {
		return a.refused(first, first, cause)
	}
	alone := cause != nil
	for _, f := range behind {
		more, err := a.landed(f)
		switch {
		case err == nil:
			got.AddSet(more)
		case declined(err):
			alone = false
		default: // what has landed cannot be told on this connection
			a.beware(first, alone)
			if cause != nil {
				err = fmt.Errorf("%w (after %v)", err, cause)
			}
			return errors.Join(a.refused(f.uid, f.uid, err), a.record(note{Done: first, Intent: a.plan, Loose: true, Dirty: true}))
		}
	}
	if len(got) == 0 {
		return a.refused(first, first, cause)
	}
	a.beware(first, alone)
	if len(got) == 1 && got[0].From == first {
		if err := a.record(note{Done: got[0].To + 1, Astray: true, Dirty: true}); err != nil {
			return err
		}
	}
	want := fmt.Sprintf("those from %d on", first)
	if cause != nil {
		want = fmt.Sprintf("those behind %d (%v)", first, cause)
	}
	return shifted{a.folder, want, short(got)}
}

// beware lets the message uid go alone, which is the only one that was refused, and all messages if it is not.
func (a *appender) beware(uid uint32, only bool) {
	if !only || a.wary != 0 {
		uid = everyMessage
	}
	a.wary = uid
}

// abandon takes the answers to what is under way when cause ends a copy, and returns the error that counts: what was refused before, or
// went astray.
func (a *appender) abandon(cause error) error {
	err := a.land(0)
	if _, about := aboutMessage(errors.Join(err, cause)); err != nil && (about || errors.As(err, new(shifted))) {
		return err
	}
	return cause
}

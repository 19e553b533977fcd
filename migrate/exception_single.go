package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// maxReads is how often the source is asked for a message by itself before it counts as unreadable: it gives another one in between.
const maxReads = 2

// scanned is a message that was read through once, to know how it may be sent.
type scanned struct {
	message
	size int64 // of the literal
	nul  bool
	head []byte
}

// form is one way to send a message.
type form struct {
	flags  flags
	date   string
	binary bool // as literal8 (RFC 3516)
}

// single brings over one message that has been to blame, at its own UID. One that was given once and then no more, be it that
// somebody has just expunged it, is looked at again from the beginning.
func (l *lane) single(ctx context.Context, m *mailbox, a *appender, msg message) error {
	for try := 1; ; try++ {
		err := l.singleOnce(ctx, m, a, msg)
		if _, about := aboutMessage(err); !about || try == maxReads || ctx.Err() != nil {
			return err
		}
		if _, err := l.regain(ctx, m, a); err != nil {
			return err
		}
	}
}

// singleOnce brings a message over as it is, if there is any way; else as an attachment or, if it is too big for that or cannot be read,
// in the form of a note. All but the first is an exception.
func (l *lane) singleOnce(ctx context.Context, m *mailbox, a *appender, msg message) error {
	s, unreadable, err := l.scan(ctx, m, a, msg)
	if err != nil || s == nil {
		return err
	}
	e := state.Exception{Folder: m.name, UID: s.uid, MessageID: headerField(s.head, "Message-ID")}
	if unreadable != nil {
		e.Class, e.Text = ClassUnreadable, unreadable.Error()
		return l.leaveNote(ctx, a, s, e, "The old server cannot give this message.")
	}
	e.Class = ClassTooBig
	if limit := l.dst.appendLimit(); limit > 0 && s.size > limit {
		e.Text = fmt.Sprintf("its %d bytes are more than the %d that the target takes", s.size, limit)
	} else {
		reason, err := l.tryAll(a, s, l.plainForms(s), s.size, func(w io.Writer) error { return l.send(s, w) })
		if reason == nil || err != nil {
			return err
		}
		e.Text = reason.Error()
		if !tooBig(reason) {
			e.Class = ClassRefused
			wrap := newWrapping(s, reason)
			if err := l.w.except(ctx, e); err != nil {
				return err
			}
			reason, err := l.tryAll(a, s, s.forms(), wrap.size(s.size), func(w io.Writer) error {
				return wrap.write(w, func(w io.Writer) error { return l.send(s, w) })
			})
			if reason == nil || err != nil {
				return err
			}
			if err := l.w.mended(ctx, m.name, ClassRefused, wire.Set{{From: s.uid, To: s.uid}}); err != nil {
				return err
			}
			e.Class, e.Text = ClassTooBig, e.Text+"; and of the message as an attachment: "+reason.Error()
		}
	}
	return l.leaveNote(ctx, a, s, e, "The new server takes this message neither as it is nor as an attachment.")
}

// leaveNote puts a note in the place of a message.
func (l *lane) leaveNote(ctx context.Context, a *appender, s *scanned, e state.Exception, why string) error {
	if err := l.w.except(ctx, e); err != nil {
		return err
	}
	text := noteMessage(s, e, why)
	reason, err := l.tryAll(a, s, s.forms(), int64(len(text)), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if reason != nil {
		err = fmt.Errorf("append uid %d to %s: the target does not even take a note in its place: %w", s.uid, wire.Quoted(e.Folder), reason)
	}
	return err
}

// scan reads a message by itself. It returns nil if the source does not have it any more; else it may be unreadable, which is not
// said of it while the source gives no others either.
func (l *lane) scan(ctx context.Context, m *mailbox, a *appender, msg message) (s *scanned, unreadable, err error) {
	for try := range maxReads {
		s = nil
		err := l.src.stream(msg.uid, msg.uid, func(m *message, size int64, body io.Reader) error {
			s = &scanned{message: *m, size: size}
			return s.read(body)
		})
		if err == nil && s != nil {
			return s, nil, nil
		}
		if _, ok := aboutMessage(err); err != nil && !ok || ctx.Err() != nil {
			return nil, nil, cmp.Or(err, ctx.Err())
		}
		if unreadable = err; err == nil {
			unreadable = errors.New("the source lists the message and does not send it")
		}
		list, err := l.regain(ctx, m, a)
		if err == nil && list.find(msg.uid) == nil {
			return nil, nil, nil
		}
		if err == nil && try == 0 {
			if err = l.blame(m.name, msg.uid, unreadable); err == nil {
				_, err = l.regain(ctx, m, a)
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
	s = &scanned{message: msg}
	s.raw = msg.date.Format("02-Jan-2006 15:04:05 -0700") // a listing keeps it as an instant alone
	if s.head, err = l.src.fields(msg.uid); err != nil {
		_, err = l.regain(ctx, m, a)
	}
	return s, unreadable, err
}

func (s *scanned) read(body io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		s.nul = s.nul || bytes.IndexByte(buf[:n], 0) >= 0
		s.head = append(s.head, buf[:min(n, maxHead-len(s.head))]...)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return unread{s.uid, err}
		}
	}
}

// fields asks for what the source may know of a message without its body.
func (c *client) fields(uid uint32) (head []byte, err error) {
	_, err = c.do(func(r response) error {
		if r.word != "FETCH" {
			return nil
		}
		var m message
		return parseFetch(r.d, &m, func(d *wire.Decoder) error {
			return c.body(d, &m, func(_ *message, _ int64, body io.Reader) (err error) {
				head, err = readHead(body)
				return err
			})
		})
	}, "UID FETCH", fmt.Sprint(uid), "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE MESSAGE-ID)])")
	return head, err
}

// send writes the message as it is, read from the source once more.
func (l *lane) send(s *scanned, w io.Writer) error {
	var sent int64
	err := l.src.stream(s.uid, s.uid, func(_ *message, _ int64, body io.Reader) (err error) {
		sent, err = io.Copy(w, body)
		return err
	})
	if err == nil && sent != s.size {
		err = fmt.Errorf("%s uid %d: the source gave %d bytes, and %d before", wire.Quoted(l.src.selected), s.uid, sent, s.size)
	}
	return err
}

// forms are the ways to send what is not the message itself: flags are set afterwards, dates are replaced if need be.
func (s *scanned) forms() []form {
	all := []form{{flags: s.flags, date: s.raw}}
	if s.flags != "" {
		all = append(all, form{date: s.raw})
	}
	if !dateKept(s.date.Unix()) {
		all = append(all, form{date: substituteDate})
	}
	return all
}

// plainForms are the ways to send the message itself.
func (l *lane) plainForms(s *scanned) (all []form) {
	for _, f := range s.forms() {
		all = append(all, f)
		if s.nul && l.dst.caps.Has("BINARY") {
			f.binary = true
			all = append(all, f)
		}
	}
	return all
}

// tryAll appends what body writes at the UID of s in the first of forms that the target takes, and returns the answer to
// the first one if there is none.
func (l *lane) tryAll(a *appender, s *scanned, forms []form, size int64, body func(io.Writer) error) (reason, err error) {
	for _, f := range forms {
		refused, err := a.one(s.uid, f, size, body)
		if err != nil || refused == nil {
			return nil, err
		}
		if reason == nil {
			reason = refused
		}
		if tooBig(refused) {
			break
		}
	}
	return reason, nil
}

func tooBig(reason error) bool {
	var r *backend.Refused
	return errors.As(reason, &r) && codeWord(r) == "TOOBIG"
}

// one appends one message alone by a synchronizing literal, and returns why the target has refused it, if it has.
func (a *appender) one(uid uint32, f form, size int64, body func(io.Writer) error) (refused, err error) {
	if err := a.fill(uid); err != nil {
		return nil, err
	}
	if err := a.flush(); err != nil {
		return nil, err
	}
	if err := a.record(note{Done: uid, Intent: []intent{{uid, parseDate(f.date).Unix(), size}}, Dirty: true}); err != nil {
		return nil, err
	}
	tag, err := a.dst.startAppend(a.folder)
	if err != nil {
		return nil, err
	}
	tilde := ""
	if f.binary {
		tilde = "~"
	}
	fmt.Fprintf(a.dst.w, " (%s) %s %s{%d}\r\n", f.flags, wire.Quoted(f.date), tilde, size)
	if err := a.dst.awaitContinue(); err != nil {
		return a.refusedOne(uid, err)
	}
	if err := body(a.dst.w); err != nil {
		if a.dst.w.Flush() != nil {
			return a.refusedOne(uid, a.dst.lastWords(tag, err))
		}
		return nil, err
	}
	a.dst.w.WriteString("\r\n")
	res, err := a.dst.finish(tag, nil)
	if err != nil {
		return a.refusedOne(uid, err)
	}
	if err := a.check(res.code, wire.Range{From: uid, To: uid}); err != nil {
		return nil, err
	}
	a.next = uid + 1
	a.count(1, size)
	return nil, a.record(note{Done: a.next, Dirty: true})
}

// refusedOne tells a refusal of the message from all other errors.
func (a *appender) refusedOne(uid uint32, err error) (refused, other error) {
	err = a.refused(uid, uid, err)
	var r refusal
	if errors.As(err, &r) {
		return r.reason, nil
	}
	return nil, err
}

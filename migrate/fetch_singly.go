package migrate

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"imapferry/internal/wire"
)

// The data of a FETCH response have no order (RFC 9051, 7.5.2), and a body has to be passed on as it comes. A source that sends
// it before its UID, flags and date is asked for one message at a time, after all but the body is known.

// errBodyFirst ends a FETCH of many messages whose bodies cannot be told apart when they come.
var errBodyFirst = errors.New("the source sends a body before it says of which message it is: it is asked for one message at a time")

// streamSingly is stream for such a source.
func (c *client) streamSingly(from, to uint32, each func(m *message, size int64, body io.Reader) error) error {
	all := listing{{uid: from}}
	if from < to {
		var err error
		if all, err = c.listing(wire.Range{From: from, To: to}.String(), from, "FLAGS"); err != nil {
			return err
		}
	}
	for i := range all {
		if all[i].uid > to {
			break
		}
		if err := c.streamOne(all[i].uid, each); err != nil {
			return fmt.Errorf("fetch %s from %s: %w", wire.Quoted(c.selected), c.side, err)
		}
	}
	return nil
}

// streamOne is stream for one message, which may be gone. What is asked twice is in flight at once.
func (c *client) streamOne(uid uint32, each func(m *message, size int64, body io.Reader) error) error {
	about, err := c.start("UID FETCH", fmt.Sprint(uid), "(UID FLAGS INTERNALDATE)")
	if err != nil {
		return err
	}
	whole, err := c.start("UID FETCH", fmt.Sprint(uid), "(UID BODY.PEEK[])")
	if err != nil {
		return err
	}
	var m message
	_, err = c.finish(about, func(r response) error {
		if r.word != "FETCH" {
			return nil
		}
		var told message
		err := parseFetch(r.d, &told, nil)
		if told.uid == uid && told.raw != "" {
			m = told
		}
		return err
	})
	passedOn := false
	_, err2 := c.finish(whole, func(r response) error { // even if the first was refused: else its answer would be another command's
		if r.word != "FETCH" || m.uid == 0 {
			return nil
		}
		var told message
		return parseFetch(r.d, &told, func(d *wire.Decoder) error {
			if m.body {
				return holdf("%s uid %d: the source sends more bodies than it was asked for", wire.Quoted(c.selected), uid)
			}
			m.body = true
			err := c.bodyThen(d, &m, func() error { return c.isOf(d, &told, uid) }, each)
			passedOn = err != nil
			return err
		})
	})
	if err = errors.Join(err, err2); err != nil && !passedOn {
		return notRead(uid-1, uid, err)
	}
	if err == nil && m.uid != 0 && !m.body {
		err = unread{uid, fmt.Errorf("%s uid %d: source sends no body", wire.Quoted(c.selected), uid)}
	}
	return err
}

// isOf reads what comes behind a body in its response, and demands that it is the body of uid.
func (c *client) isOf(d *wire.Decoder, told *message, uid uint32) error {
	for d.Accept(' ') {
		item := strings.ToUpper(d.Atom())
		if d.SP(); item == "UID" {
			told.uid = d.Number32()
		} else {
			d.Skip()
		}
	}
	if d.Err() == nil && told.uid != uid {
		return unread{uid, fmt.Errorf("%s uid %d: the source sends a body that is of uid %d", wire.Quoted(c.selected), uid, told.uid)}
	}
	return d.Err()
}

// bodyThen is body for one that ends well only if then does: nothing of it takes effect before.
func (c *client) bodyThen(d *wire.Decoder, m *message, then func() error, each func(*message, int64, io.Reader) error) error {
	if d.Peek() != '{' {
		return c.body(d, m, func(m *message, size int64, body io.Reader) error {
			if err := then(); err != nil {
				return err
			}
			return each(m, size, body)
		})
	}
	lr := d.Literal()
	if lr == nil {
		return d.Err()
	}
	return each(m, lr.Left(), &endsWell{Reader: lr, then: func() error {
		d.EndLiteral()
		return then()
	}})
}

// endsWell is a reader whose end is an error if then says so.
type endsWell struct {
	io.Reader
	then func() error // nil once it was asked
	end  error
}

func (e *endsWell) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != io.EOF {
		return n, err
	}
	if e.then != nil {
		e.end, e.then = e.then(), nil
	}
	if e.end != nil {
		err = e.end
	}
	return n, err
}

package migrate

import (
	"bytes"
	"fmt"
	"io"

	"imapferry/internal/wire"
)

// stream reads the messages of the open folder with UIDs from to to, in UID order, and gives each with its body to each, which
// reads the body to its end.
func (c *client) stream(from, to uint32, each func(m *message, size int64, body io.Reader) error) error {
	if from > to {
		return nil
	}
	if c.singly {
		return c.streamSingly(from, to, each)
	}
	last, passedOn := from-1, false
	_, err := c.do(func(r response) error {
		if r.word != "FETCH" {
			return nil
		}
		var m message
		err := parseFetch(r.d, &m, func(d *wire.Decoder) error {
			if m.uid == 0 || m.raw == "" {
				c.singly = true
				return errBodyFirst
			}
			if m.uid <= last || m.uid > to {
				return holdf("%s uid %d: the source sends bodies in another order than they were asked for", wire.Quoted(c.selected), m.uid)
			}
			last = m.uid
			return c.body(d, &m, func(m *message, size int64, body io.Reader) error {
				err := each(m, size, body)
				passedOn = err != nil
				return err
			})
		})
		if err == nil && !m.body && m.uid >= from && m.uid <= to && m.raw != "" {
			return unread{m.uid, fmt.Errorf("%s uid %d: source sends no body", wire.Quoted(c.selected), m.uid)}
		}
		return err
	}, "UID FETCH", wire.Range{From: from, To: to}.String(), "(UID FLAGS INTERNALDATE BODY.PEEK[])")
	if err != nil && !passedOn {
		err = notRead(last, to, err)
	}
	if err != nil {
		return fmt.Errorf("fetch %s from %s: %w", wire.Quoted(c.selected), c.side, err)
	}
	return nil
}

// body hands on a literal as it comes; a quoted string is small.
func (c *client) body(d *wire.Decoder, m *message, each func(*message, int64, io.Reader) error) error {
	if d.Peek() != '{' {
		b, ok := d.NString()
		if err := d.Err(); err != nil {
			return err
		}
		if !ok {
			return unread{m.uid, fmt.Errorf("%s uid %d: the %s cannot read the message", wire.Quoted(c.selected), m.uid, c.side)}
		}
		return each(m, int64(len(b)), bytes.NewReader(b))
	}
	lr := d.Literal()
	if lr == nil {
		return d.Err()
	}
	if err := each(m, lr.Left(), lr); err != nil {
		return err
	}
	d.EndLiteral()
	return d.Err()
}

package proxy

import (
	"errors"
	"fmt"

	"imapferry/internal/wire"
)

// view is a mailbox as one session sees it: its messages in order.
type view struct {
	messages []message
	touched  map[uint32]bool // by UID: the server has told that their flags changed, and the client has not heard it
	saved    wire.Set        // of the source: the saved search
	news     *newsOf         // of the target: what it has told
}

// message is one of a view. Its UID is 0 if the server has removed it before it could be asked.
type message struct {
	uid   uint32
	mod   uint64
	flags *flagSet // nil only if the UID is 0, or by VANISHED
}

// flagSet is the flags of one message without \Recent. Most messages of a mailbox have one of a few, so each is kept once.
type flagSet struct {
	sorted string // in lower case
	spelt  string // as the server says them
}

// viewAtSource asks the source for what the client knows of the selected mailbox.
//
// NOOP makes the source tell all that it has not told yet; the listing behind it is then up to date. What the client
// knows is the listing without what NOOP has added at the end, and with what NOOP has removed. Each command waits for
// the one before: Dovecot puts off NOOP while more is in its input, and would list what it has not told.
func (c *caller) viewAtSource(p *place) (*view, error) {
	if !p.selected {
		return &view{}, nil
	}
	if p.blind {
		return nil, cannot(atView, "the number of messages that the client knows of could not be followed")
	}
	if p.exists == 0 {
		return &view{}, nil // whatever the source has to say, the client knows of no message
	}
	if p.exists > maxView {
		return nil, cannot(atView, "%d messages are too many to compare", p.exists)
	}
	n := newNews(p.exists)
	if p.saved {
		if err := c.obeyed("UID SEARCH RETURN (ALL) $", n.news); err != nil {
			return nil, err
		}
	}
	if err := c.obeyed("NOOP", n.news); err != nil {
		return nil, err
	}
	if err := c.list(n, "(UID FLAGS)"); err != nil {
		return nil, err
	}
	return n.view()
}

// maxListings is how often a mailbox is listed out of which others remove messages meanwhile.
const maxListings = 5

// list lists the mailbox, again if it has changed meanwhile: servers leave out messages that another session has
// removed (RFC 2180, 4.1), and tell of them only then.
func (c *caller) list(n *newsOf, items string) error {
	for range maxListings {
		n.list, n.holes = n.list[:0], false
		if n.exists == 0 {
			return nil // 1:* would be refused
		}
		err := c.obeyed("FETCH 1:* "+items, n.listing)
		if err != nil && !errors.As(err, new(*refusedCall)) {
			return err
		}
		if err == nil && !n.holes && len(n.list) == n.exists {
			return n.whole()
		}
		if err := c.obeyed("NOOP", n.news); err != nil {
			return err
		}
	}
	return cannot(atView, "the mailbox changes all the time: %d messages, %d listed", n.exists, len(n.list))
}

// viewAtTarget selects the client's mailbox and lists it.
func (c *caller) viewAtTarget(p *place) (*view, error) {
	v := &view{news: newNews(0)}
	command := "SELECT "
	if p.readOnly {
		command = "EXAMINE "
	}
	name := wire.Quoted(p.mailbox)
	if wire.NeedsLiteral(p.mailbox) {
		name = fmt.Sprintf("{%d+}\r\n%s", len(p.mailbox), p.mailbox)
	}
	err := c.obeyed(command+name, v.news.news)
	if err != nil {
		return nil, err
	}
	return v, c.listTarget(v, p)
}

// listTarget takes the messages of the mailbox that is selected at the target.
func (c *caller) listTarget(v *view, p *place) error {
	items := "(UID FLAGS)"
	if p.mods {
		items = "(UID FLAGS MODSEQ)"
	}
	err := c.list(v.news, items)
	v.messages = v.news.list
	return err
}

package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// statusWindow is how many STATUS commands are sent before the first is answered.
const statusWindow = 64

// mailbox is one folder as LIST and STATUS tell it.
type mailbox struct {
	name       string // raw
	sep        byte   // 0: flat
	selectable bool
	special    string // special use, empty if none
	status     status
}

// status is what STATUS tells, and SELECT in part.
type status struct {
	uidValidity, uidNext, messages uint32
	modSeq                         uint64 // 0 without CONDSTORE
}

// account is the folders of one side.
type account struct {
	mailboxes  map[string]*mailbox
	subscribed map[string]bool
}

// names returns the names of all folders that can be selected, parents before children and INBOX first.
func (a *account) names() []string {
	var out []string
	for n, m := range a.mailboxes {
		if m.selectable {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		if (a == wire.Inbox) != (b == wire.Inbox) {
			if a == wire.Inbox {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return out
}

// messages returns how many messages all folders hold.
func (a *account) messages() (n int64) {
	for _, m := range a.mailboxes {
		n += int64(m.status.messages)
	}
	return n
}

// survey lists all folders with their status, and the subscriptions. What it tells was read before anything that is
// read later, so a change after it shows in the next survey.
func (c *client) survey() (*account, error) {
	a := &account{mailboxes: map[string]*mailbox{}, subscribed: map[string]bool{}}
	items := c.statusItems()
	list := []any{"LIST", `""`, `"*"`}
	withStatus := c.caps.Has("LIST-STATUS")
	if withStatus {
		list = append(list, "RETURN (STATUS ("+items+"))")
	}
	if _, err := c.do(a.take, list...); err != nil {
		return nil, fmt.Errorf("list folders of %s: %w", c.side, err)
	}
	if !withStatus {
		if err := c.statusAll(a, items); err != nil {
			return nil, err
		}
	}
	if err := c.askAgain(a, items); err != nil {
		return nil, err
	}
	if _, err := c.do(a.take, "LSUB", `""`, `"*"`); err != nil {
		return nil, fmt.Errorf("list subscriptions of %s: %w", c.side, err)
	}
	return a, nil
}

// statusItems is what STATUS is asked for.
func (c *client) statusItems() string {
	items := "MESSAGES UIDNEXT UIDVALIDITY"
	if c.caps.Has("CONDSTORE") || c.caps.Has("QRESYNC") {
		items += " HIGHESTMODSEQ"
	}
	return items
}

// askAgain asks for the status of folders that have none so far. Servers list folders that do not exist, as parents
// of others, without saying so; a folder that cannot be opened for any other reason may hold mail, and is not passed
// over (I10).
func (c *client) askAgain(a *account, items string) error {
	for _, m := range a.mailboxes {
		if m.selectable && m.status.uidValidity != 0 && m.status.uidNext == 0 {
			return holdf("%s in the %s: STATUS tells no UIDNEXT, without which nothing can be proven", wire.Quoted(m.name), c.side)
		}
		if !m.selectable || m.status.uidValidity != 0 {
			continue
		}
		_, err := c.do(a.take, "STATUS", name(m.name), "("+items+")")
		var refused *backend.Refused
		switch {
		case errors.As(err, &refused) && nonexistent(refused):
			m.selectable = false
		case errors.As(err, &refused) && refused.Status == "NO":
			return holdf("%s in the %s cannot be opened: %s", wire.Quoted(m.name), c.side, refused.Text)
		case err != nil:
			return fmt.Errorf("status of %s in %s: %w", wire.Quoted(m.name), c.side, err)
		case m.status.uidValidity == 0:
			return fmt.Errorf("status of %s in %s: %w", wire.Quoted(m.name), c.side, errNoStatus)
		}
	}
	return nil
}

// nonexistent goes by the text too, since Dovecot 2.3 gives the code (RFC 5530) to some of these refusals only, and
// lists a deleted parent of other folders as if it were there.
func nonexistent(r *backend.Refused) bool {
	return wire.EqualFold(r.Code, "NONEXISTENT") || strings.HasPrefix(r.Text, "Mailbox doesn't exist")
}

func (c *client) statusAll(a *account, items string) error {
	names := a.names()
	for window := range slices.Chunk(names, statusWindow) {
		tags := make([]string, len(window))
		for i, n := range window {
			tag, err := c.start("STATUS", name(n), "("+items+")")
			if err != nil {
				return err
			}
			tags[i] = tag
		}
		for i, tag := range tags {
			_, err := c.finish(tag, a.take)
			var refused *backend.Refused
			if errors.As(err, &refused) && refused.Status == "NO" {
				continue // askAgain finds out why
			}
			if err != nil {
				return fmt.Errorf("status of %s in %s: %w", wire.Quoted(window[i]), c.side, err)
			}
		}
	}
	return nil
}

// take reads LIST, LSUB and STATUS responses.
func (a *account) take(r response) error {
	switch r.word {
	case "LIST":
		m := parseList(r.d)
		if r.d.Err() == nil {
			if old := a.mailboxes[m.name]; old != nil {
				m.status = old.status // STATUS came first
			}
			a.mailboxes[m.name] = m
		}
	case "LSUB":
		if m := parseList(r.d); r.d.Err() == nil {
			a.subscribed[m.name] = true
		}
	case "STATUS":
		name, s := parseStatus(r.d)
		if r.d.Err() == nil {
			m := a.mailboxes[name]
			if m == nil {
				m = &mailbox{name: name}
				a.mailboxes[name] = m
			}
			m.status = s
		}
	}
	return nil
}

func parseList(d *wire.Decoder) *mailbox {
	m := &mailbox{selectable: true}
	d.List(func() {
		switch attr := strings.ToLower(d.Flag()); attr {
		case `\noselect`, `\nonexistent`:
			m.selectable = false
		case `\all`, `\archive`, `\drafts`, `\flagged`, `\junk`, `\sent`, `\trash`, `\important`:
			m.special = attr
		}
	})
	d.SP()
	if sep, ok := d.NString(); ok && len(sep) == 1 {
		m.sep = sep[0]
	}
	d.SP()
	m.name = wire.CanonicalName(d.AString())
	if d.Peek() != 0 { // LIST-EXTENDED data
		d.Rest()
	}
	return m
}

func parseStatus(d *wire.Decoder) (name string, s status) {
	name = wire.CanonicalName(d.AString())
	d.SP()
	d.List(func() {
		item := strings.ToUpper(d.Atom())
		d.SP()
		switch item {
		case "MESSAGES":
			s.messages = d.Number32()
		case "UIDNEXT":
			s.uidNext = d.Number32()
		case "UIDVALIDITY":
			s.uidValidity = d.Number32()
		case "HIGHESTMODSEQ":
			s.modSeq = d.Number()
		default:
			d.Skip()
		}
	})
	return name, s
}

// openFolder selects a folder, read-only unless write, and returns its status; without CONDSTORE modSeq is 0. What
// SELECT does not tell is asked by STATUS before.
func (c *client) openFolder(folder string, write bool) (status, error) {
	verb := "EXAMINE"
	if write {
		verb = "SELECT"
	}
	var s status
	c.selected, c.readOnly = "", !write
	_, err := c.do(func(r response) error {
		s.take(r)
		return nil
	}, verb, name(folder))
	if err != nil {
		return s, fmt.Errorf("open %s in %s: %w", wire.Quoted(folder), c.side, err)
	}
	c.selected = folder
	if s.uidValidity == 0 {
		return s, fmt.Errorf("open %s in %s: no UIDVALIDITY", wire.Quoted(folder), c.side)
	}
	return s, nil
}

// take reads what a server says of a folder when it opens it.
func (s *status) take(r response) {
	switch r.word {
	case "EXISTS":
		s.messages = r.num
	case "OK":
		code, _ := wire.SplitCode(string(r.d.Rest()))
		s.takeCode(code)
	}
}

func (s *status) takeCode(code string) {
	for key, to := range map[string]*uint32{"UIDVALIDITY": &s.uidValidity, "UIDNEXT": &s.uidNext} {
		if arg, ok := argument(code, key); ok {
			n, _ := strconv.ParseUint(arg, 10, 32)
			*to = uint32(n)
		}
	}
	if arg, ok := argument(code, "HIGHESTMODSEQ"); ok {
		s.modSeq, _ = strconv.ParseUint(arg, 10, 64)
	}
}

// closeFolder leaves the selected folder without expunging anything: CLOSE removes \Deleted messages unless the
// folder was opened read-only.
func (c *client) closeFolder() error {
	if c.selected == "" {
		return nil
	}
	verb := "UNSELECT"
	if !c.caps.Has("UNSELECT") {
		if !c.readOnly {
			if _, err := c.openFolder(c.selected, false); err != nil {
				return err
			}
		}
		verb = "CLOSE"
	}
	c.selected = ""
	_, err := c.do(nil, verb)
	return err
}

// statusOf asks for the status of one folder that is not open. It returns nil if there is no such folder.
func (c *client) statusOf(folder string) (*status, error) {
	items := c.statusItems()
	a := &account{mailboxes: map[string]*mailbox{}}
	_, err := c.do(a.take, "STATUS", name(folder), "("+items+")")
	if m := a.mailboxes[folder]; err == nil && m != nil && m.status.uidValidity != 0 {
		return &m.status, nil
	}
	var refused *backend.Refused
	if err != nil && !(errors.As(err, &refused) && refused.Status == "NO") {
		return nil, err
	}
	// A refusal may have any reason; only the list says that a folder does not exist.
	a = &account{mailboxes: map[string]*mailbox{}}
	if _, listErr := c.do(a.take, "LIST", `""`, `"*"`); listErr != nil {
		return nil, listErr
	}
	if m := a.mailboxes[folder]; m != nil && m.selectable {
		return nil, fmt.Errorf("status of %s in %s: %w", wire.Quoted(folder), c.side, errors.Join(err, errNoStatus))
	}
	return nil, nil
}

var errNoStatus = errors.New("no status")

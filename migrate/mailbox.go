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

// mailbox is one folder as LIST and STATUS tell it.
type mailbox struct {
	name       string // the engine's, raw
	sep        byte   // 0: flat
	selectable bool
	special    string // special uses in lower case and order, empty if none
	unopened   string // why the server does not open it, although it is there
	status     status
}

// status is what STATUS tells, and SELECT in part.
type status struct {
	uidValidity, uidNext, messages uint32
	modSeq                         uint64 // 0 without CONDSTORE
}

func parseList(d *wire.Decoder) *mailbox {
	m := &mailbox{selectable: true}
	var uses []string
	d.List(func() {
		attr := strings.ToLower(d.Flag())
		if attr == `\noselect` || attr == `\nonexistent` {
			m.selectable = false
		}
		if slices.Contains(specialUses, attr) {
			uses = append(uses, attr)
		}
	})
	slices.Sort(uses)
	m.special = strings.Join(uses, " ")
	d.SP()
	if sep, ok := d.NString(); ok && len(sep) == 1 {
		m.sep = sep[0]
	}
	d.SP()
	m.name = d.AString()
	if d.Peek() != 0 { // LIST-EXTENDED data
		d.Rest()
	}
	return m
}

func parseStatus(d *wire.Decoder) (name string, s status) {
	name = d.AString()
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
			*to = uint32(number(arg, 32))
		}
	}
	if arg, ok := argument(code, "HIGHESTMODSEQ"); ok {
		s.modSeq = number(arg, 64)
	}
}

// number reads an argument of a code. What does not fit is not told: UIDs that nobody has given must not be skipped.
func number(arg string, bits int) uint64 {
	n, err := strconv.ParseUint(arg, 10, bits)
	if err != nil {
		return 0
	}
	return n
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
	a := c.newAccount()
	_, err := c.do(a.take, "STATUS", name(folder), "("+items+")")
	if m := a.mailboxes[folder]; err == nil && m != nil && m.status.uidValidity != 0 {
		return &m.status, nil
	}
	var refused *backend.Refused
	if err != nil && !(errors.As(err, &refused) && refused.Status == "NO") {
		return nil, err
	}
	// A refusal may have any reason; only the list says that a folder does not exist.
	a = c.newAccount()
	if _, listErr := c.do(a.take, "LIST", `""`, `"*"`); listErr != nil {
		return nil, listErr
	}
	if m := a.mailboxes[folder]; m != nil && m.selectable {
		return nil, fmt.Errorf("status of %s in %s: %w", wire.Quoted(folder), c.side, errors.Join(err, errNoStatus))
	}
	return nil, nil
}

var errNoStatus = errors.New("no status")

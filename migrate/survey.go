package migrate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
)

// statusWindow is how many commands about as many folders are sent before the first is answered.
const statusWindow = 64

// account is the folders of one side.
type account struct {
	mailboxes  map[string]*mailbox
	subscribed map[string]bool
	excluded   map[string]string // folders that are left out, and by which rule
	of         *client
	fold       sync.Once           // makes folded
	folded     map[string][]string // names by their lower case
}

func (c *client) newAccount() *account {
	return &account{mailboxes: map[string]*mailbox{}, subscribed: map[string]bool{}, excluded: map[string]string{}, of: c}
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

// has reports whether the account has the folder, be it that it cannot be opened.
func (a *account) has(folder string) bool {
	m := a.mailboxes[folder]
	return m != nil && (m.selectable || m.unopened != "")
}

// spellings returns the other folders whose names differ from folder's in case alone.
func (a *account) spellings(folder string) []string {
	a.fold.Do(func() { // lanes ask at once
		a.folded = map[string][]string{}
		for n := range a.mailboxes {
			a.folded[strings.ToLower(n)] = append(a.folded[strings.ToLower(n)], n)
		}
	})
	return slices.DeleteFunc(slices.Clone(a.folded[strings.ToLower(folder)]), func(n string) bool { return n == folder })
}

// messages returns how many messages all folders hold.
func (a *account) messages() (n int64) {
	for _, m := range a.mailboxes {
		n += int64(m.status.messages)
	}
	return n
}

// survey lists all folders with their status, and the subscriptions. What it tells was read before anything that is
// read later, so a change after it shows in the next survey. No folder is selected meanwhile: Dovecot tells the status of
// that one as the session has last seen it.
func (c *client) survey() (*account, error) {
	if err := c.closeFolder(); err != nil {
		return nil, err
	}
	a := c.newAccount()
	items := c.statusItems()
	list, withStatus := c.listCommand(items)
	folders, err := c.start(list...)
	if err != nil {
		return nil, err
	}
	subscriptions, err := c.start("LSUB", `""`, `"*"`)
	if err != nil {
		return nil, err
	}
	if _, err := c.finish(folders, a.take); err != nil {
		return nil, fmt.Errorf("list folders of %s: %w", c.side, err)
	}
	if _, err := c.finish(subscriptions, a.take); err != nil {
		return nil, fmt.Errorf("list subscriptions of %s: %w", c.side, err)
	}
	a.leaveOut(c.view)
	if !withStatus {
		if err := c.statusAll(a, items); err != nil {
			return nil, err
		}
	}
	return a, c.askAgain(a, items)
}

// listCommand asks for all folders, with their status where one command can. Servers add special uses to a plain LIST as
// they like, and to an extended one only when asked (RFC 6154, section 2).
func (c *client) listCommand(items string) (list []any, withStatus bool) {
	list = []any{"LIST", `""`, `"*"`}
	var with []string
	if c.caps.Has("SPECIAL-USE") && c.caps.Has("LIST-EXTENDED") {
		with = append(with, "SPECIAL-USE")
	}
	if withStatus = c.caps.Has("LIST-STATUS"); withStatus {
		with = append(with, "STATUS ("+items+")")
	}
	if len(with) > 0 {
		list = append(list, "RETURN ("+strings.Join(with, " ")+")")
	}
	return list, withStatus
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
// over (I10): unopened says why.
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
		case errors.As(err, &refused) && nonexistent(refused): // or it has vanished just now, and is no folder in name only
			delete(a.mailboxes, m.name)
		case errors.As(err, &refused) && refused.Status == "NO" && !passing(refused):
			m.selectable, m.unopened = false, refused.Text
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
	return codeWord(r) == "NONEXISTENT" || strings.HasPrefix(r.Text, "Mailbox doesn't exist")
}

func (c *client) statusAll(a *account, items string) error {
	ask := func(n string) []any { return []any{"STATUS", name(n), "(" + items + ")"} }
	return c.askEach(a.names(), ask, a.take, func(n string, _ result, err error) error {
		var refused *backend.Refused
		if err == nil || errors.As(err, &refused) && refused.Status == "NO" {
			return nil // askAgain finds out why
		}
		return fmt.Errorf("status of %s in %s: %w", wire.Quoted(n), c.side, err)
	})
}

// take reads LIST, LSUB and STATUS responses.
func (a *account) take(r response) error {
	switch r.word {
	case "LIST":
		m := parseList(r.d)
		m.name = a.of.here(m.name)
		if r.d.Err() == nil {
			if old := a.mailboxes[m.name]; old != nil {
				m.status = old.status // STATUS came first
			}
			a.mailboxes[m.name] = m
		}
	case "LSUB":
		if m := parseList(r.d); r.d.Err() == nil && m.selectable { // Courier adds parents of subscribed folders, as \Noselect
			a.subscribed[a.of.here(m.name)] = true
		}
	case "STATUS":
		name, s := parseStatus(r.d)
		name = a.of.here(name)
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

// askEach sends a command for each of names, many at a time, and tells done how each ended.
func (c *client) askEach(names []string, command func(folder string) []any, on func(response) error, done func(folder string, res result, err error) error) error {
	for window := range slices.Chunk(names, statusWindow) {
		tags := make([]string, len(window))
		for i, n := range window {
			tag, err := c.start(command(n)...)
			if err != nil {
				return err
			}
			tags[i] = tag
		}
		for i, tag := range tags {
			res, err := c.finish(tag, on)
			if err := done(window[i], res, err); err != nil {
				return err
			}
		}
	}
	return nil
}

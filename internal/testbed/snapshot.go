package testbed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Account is all that a client can see of a user's mail.
type Account struct {
	Folders    map[string]*Folder // by name, as the server spells it
	Subscribed []string           // sorted; also names of folders that are gone
}

// Folder is one folder of an account. Of one that cannot be selected only the
// attributes are known: one listed as \Noselect, or one that is listed like any
// other and whose EXAMINE is refused, as Dovecot's Maildir has when a folder
// with children was deleted.
type Folder struct {
	Attrs         []string // sorted: special use, not the hints about children
	Delimiter     string
	Selectable    bool
	UIDValidity   uint32
	UIDNext       uint32
	HighestModSeq uint64 // 0: the server has none
	Messages      map[uint32]Message
}

// Message is one message of a folder.
type Message struct {
	Flags        string // sorted, without \Recent, which belongs to a session
	InternalDate time.Time
	Size         int64  // RFC822.SIZE, which may differ from the length served
	Sum          string // SHA-256 of BODY[]
}

// Messages counts the messages of all folders.
func (a *Account) Messages() int {
	n := 0
	for _, f := range a.Folders {
		n += len(f.Messages)
	}
	return n
}

// Snapshot reads a whole account. It only reads: EXAMINE and BODY.PEEK[].
func Snapshot(ctx context.Context, addr, user, pass string, opts ...DialOption) (*Account, error) {
	c, err := Login(ctx, addr, user, pass, opts...)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	defer c.Close()
	a := &Account{Folders: map[string]*Folder{}}
	if err := a.list(c); err != nil {
		return nil, fmt.Errorf("snapshot: list: %w", err)
	}
	for name, f := range a.Folders {
		if err := f.read(c, name); err != nil {
			return nil, fmt.Errorf("snapshot: %q: %w", name, err)
		}
	}
	return a, c.Logout()
}

func (a *Account) list(c *Client) error {
	list := `LIST "" "*"`
	if c.Has("LIST-EXTENDED") && c.Has("SPECIAL-USE") { // else some servers keep it back
		list += " RETURN (CHILDREN SPECIAL-USE)"
	}
	err := c.each(func(r Response) error {
		if len(r.Values) != 4 || r.Values[0].Text != "LIST" {
			return nil
		}
		attrs := r.Values[1].List
		f := &Folder{Attrs: lastingAttrs(attrs), Delimiter: r.Values[2].Text}
		f.Selectable = !hasAttr(attrs, `\Noselect`) && !hasAttr(attrs, `\NonExistent`)
		a.Folders[canonical(r.Values[3].Text)] = f
		return nil
	}, list)
	if err != nil {
		return err
	}
	err = c.each(func(r Response) error {
		if len(r.Values) == 4 && r.Values[0].Text == "LSUB" && !hasAttr(r.Values[1].List, `\Noselect`) {
			a.Subscribed = append(a.Subscribed, canonical(r.Values[3].Text))
		}
		return nil
	}, `LSUB "" "*"`)
	slices.Sort(a.Subscribed)
	a.Subscribed = slices.Compact(a.Subscribed)
	return err
}

// canonical spells INBOX in one way; it alone has no case (RFC 3501, 5.1).
func canonical(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return name
}

// lastingAttrs leaves out what changes with other folders or with the session.
func lastingAttrs(list []Value) []string {
	var attrs []string
	for _, v := range list {
		switch strings.ToLower(v.Text) {
		case `\haschildren`, `\hasnochildren`, `\noinferiors`, `\marked`, `\unmarked`,
			`\subscribed`, `\noselect`, `\nonexistent`:
		default:
			attrs = append(attrs, v.Text)
		}
	}
	slices.Sort(attrs)
	return attrs
}

func hasAttr(list []Value, attr string) bool {
	return slices.ContainsFunc(list, func(v Value) bool { return strings.EqualFold(v.Text, attr) })
}

func (f *Folder) read(c *Client, name string) error {
	if !f.Selectable {
		return nil
	}
	exists, err := f.examine(c, name)
	if nonexistent(err) {
		f.Selectable = false
		return nil
	}
	if err != nil {
		return err
	}
	if f.UIDNext == 0 { // Courier says it to STATUS alone
		if err := f.status(c, name); err != nil {
			return err
		}
	}
	f.Messages = make(map[uint32]Message, exists)
	if exists > 0 {
		err = c.each(f.fetched, "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
	}
	if err == nil && len(f.Messages) != exists {
		err = fmt.Errorf("%d messages announced, %d fetched", exists, len(f.Messages))
	}
	return err
}

func (f *Folder) examine(c *Client, name string) (exists int, err error) {
	err = c.each(func(r Response) (err error) {
		if len(r.Values) == 2 && r.Values[1].Text == "EXISTS" {
			exists, err = strconv.Atoi(r.Values[0].Text)
			return err
		}
		item, arg, _ := strings.Cut(r.Code, " ")
		return f.set(item, arg)
	}, "EXAMINE ", Quote(name))
	return exists, err
}

// nonexistent goes by the text too: Dovecot gives the code (RFC 5530) to some
// of these refusals only.
func nonexistent(err error) bool {
	var r *RefusedError
	return errors.As(err, &r) && (r.Code == "NONEXISTENT" || strings.Contains(r.Text, "doesn't exist"))
}

func (f *Folder) set(item, arg string) (err error) {
	var n uint64
	switch strings.ToUpper(item) {
	case "UIDVALIDITY":
		n, err = strconv.ParseUint(arg, 10, 32)
		f.UIDValidity = uint32(n)
	case "UIDNEXT":
		n, err = strconv.ParseUint(arg, 10, 32)
		f.UIDNext = uint32(n)
	case "HIGHESTMODSEQ":
		f.HighestModSeq, err = strconv.ParseUint(arg, 10, 64)
	}
	return err
}

func (f *Folder) status(c *Client, name string) error {
	return c.each(func(r Response) error {
		if len(r.Values) != 3 || r.Values[0].Text != "STATUS" {
			return nil
		}
		items := r.Values[2].List
		for i := 0; i+1 < len(items); i += 2 {
			if err := f.set(items[i].Text, items[i+1].Text); err != nil {
				return err
			}
		}
		return nil
	}, "STATUS ", Quote(name), " (UIDNEXT)")
}

// dateLayout is date-time of RFC 3501; "_2" takes a day with a leading space.
const dateLayout = "_2-Jan-2006 15:04:05 -0700"

func (f *Folder) fetched(r Response) error {
	if len(r.Values) != 3 || r.Values[1].Text != "FETCH" {
		return nil
	}
	var m Message
	var uid uint64
	var err error
	items := r.Values[2].List
	for i := 0; i+1 < len(items) && err == nil; i += 2 {
		v := items[i+1]
		switch strings.ToUpper(items[i].Text) {
		case "UID":
			uid, err = strconv.ParseUint(v.Text, 10, 32)
		case "FLAGS":
			m.Flags = flagList(v.List)
		case "INTERNALDATE":
			m.InternalDate, err = time.Parse(dateLayout, v.Text)
		case "RFC822.SIZE":
			m.Size, err = strconv.ParseInt(v.Text, 10, 64)
		case "BODY[]":
			sum := sha256.Sum256([]byte(v.Text))
			m.Sum = hex.EncodeToString(sum[:])
		}
	}
	if err != nil {
		return fmt.Errorf("message %s: %w", r.Values[0].Text, err)
	}
	if m.Sum == "" || uid == 0 {
		return nil // unasked: flags that another session changed
	}
	if _, twice := f.Messages[uint32(uid)]; twice {
		return fmt.Errorf("uid %d came twice", uid)
	}
	f.Messages[uint32(uid)] = m
	return nil
}

func flagList(list []Value) string {
	var flags []string
	for _, v := range list {
		if !strings.EqualFold(v.Text, `\Recent`) {
			flags = append(flags, v.Text)
		}
	}
	slices.Sort(flags)
	return strings.Join(flags, " ")
}

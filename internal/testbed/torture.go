package testbed

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// TortureSpec says what an account of the odd kind holds beside what is always
// in it.
type TortureSpec struct {
	Seed    uint64
	Folders int // so many more in one parent; every tenth has a message
	Large   int // bytes of one more message, 0 for none
	// Backdoor makes what no client can: UIDs of any size and messages that APPEND
	// does not take. Without it both are among what is refused.
	Backdoor Backdoor
}

// Backdoor is what a server's tools and files can do and IMAP cannot. Dovecot
// and Courier have one.
type Backdoor interface {
	// SetNextUID lets the next message of a folder get that UID.
	SetNextUID(ctx context.Context, user, folder string, uid uint32) error
	// PutFile stores a message as it is in a Maildir.
	PutFile(user, folder string, m Mail) error
}

var errNoBackdoor = errors.New("the server has no backdoor for it")

// Torture fills an account with all that is legal, and much that is not: folder
// names, parents in name only, subscriptions of folders that are gone, UIDs at
// the end of their range, dates, messages and keywords. It returns a line for
// each thing that the server refused, so that a test can tell what it is about;
// a server that ends the connection at something has refused it as well. What it
// asks for depends on user and Seed alone.
func Torture(ctx context.Context, addr, user, pass string, spec TortureSpec, opts ...DialOption) (refusals []string, err error) {
	t := &torturer{
		TortureSpec: spec, ctx: ctx, user: user, w: newWriter(spec.Seed, user),
		login: func() (*Client, error) { return Login(ctx, addr, user, pass, opts...) },
	}
	if t.c, err = t.login(); err != nil {
		return nil, fmt.Errorf("torture: %w", err)
	}
	defer func() { t.c.Close() }() // another one than now, if the server has ended that
	if err := t.run(); err != nil {
		return t.refused, fmt.Errorf("torture: %w", err)
	}
	return t.refused, t.c.Logout()
}

type torturer struct {
	TortureSpec
	ctx     context.Context
	user    string
	login   func() (*Client, error)
	c       *Client
	ns      namespace
	w       *writer
	refused []string
}

func (t *torturer) run() (err error) {
	if t.ns, err = t.c.namespace(); err != nil {
		return err
	}
	for _, step := range []func() error{
		t.inbox, t.names, t.parents, t.ghosts, t.many, t.emptied, t.gaps, t.dates, t.messages, t.files, t.keywords,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// inbox is opened for writing: until then Courier gives it another UIDVALIDITY
// at each EXAMINE.
func (t *torturer) inbox() error {
	if err := t.append("a message", "INBOX", t.w.mail(200)); err != nil {
		return err
	}
	_, err := t.try("select INBOX", "SELECT INBOX")
	return err
}

// try does a command. It reports whether the server did it, and returns an
// error only if the account is out of reach.
func (t *torturer) try(what string, parts ...any) (bool, error) {
	_, err := t.c.Do(parts...)
	if err == nil {
		return true, nil
	}
	t.refuse(what, err)
	if refused(err) {
		// Courier ends connections that make several errors in a row.
		if _, err = t.c.Do("NOOP"); err == nil {
			return false, nil
		}
	}
	t.c.Close()
	t.c, err = t.login()
	return false, err
}

// refuse leaves out how long Dovecot took.
func (t *torturer) refuse(what string, err error) {
	text := err.Error()
	if i := strings.LastIndex(text, " ("); i >= 0 && strings.HasSuffix(text, " secs).") {
		text = text[:i]
	}
	t.refused = append(t.refused, what+": "+text)
}

// create makes a folder and reports whether it is there.
func (t *torturer) create(levels ...string) (name string, ok bool, err error) {
	name = t.ns.path(levels...)
	ok, err = t.try(fmt.Sprintf("create %s", brief(name)), "CREATE ", Quote(name))
	return name, ok, err
}

func (t *torturer) append(what, folder string, m Mail) error {
	_, err := t.try(fmt.Sprintf("append to %s: %s", brief(folder), what), append([]any{"APPEND ", Quote(folder)}, m.parts()...)...)
	return err
}

// brief keeps a name of 256 letters from filling the page.
func brief(name string) string {
	const show = 40
	if len(name) > show {
		return fmt.Sprintf("%q… (%d bytes)", name[:show], len(name))
	}
	return fmt.Sprintf("%q", name)
}

// emptied is a folder without a message whose UIDNEXT is 5000.
func (t *torturer) emptied() error {
	const next = 5000
	name, ok, err := t.create("Empty at 5000")
	if err != nil || !ok {
		return err
	}
	if t.Backdoor != nil && t.Backdoor.SetNextUID(t.ctx, t.user, name, next) == nil {
		return nil
	}
	mails := make([]Mail, next-1)
	for i := range mails {
		mails[i] = gone
	}
	if err := t.c.appendAll(name, mails); err != nil {
		return err
	}
	return t.c.purge(name)
}

// gaps has UIDs far from each other, where signed numbers end, and the last
// ones that there are.
func (t *torturer) gaps() error {
	for _, jumps := range []struct {
		folder string
		to     []uint32
	}{{"Gaps", []uint32{100_000, 1 << 20, 1<<31 - 1, 1<<31 + 1000}}, {"Last UIDs", []uint32{1<<32 - 5}}} {
		name, ok, err := t.create(jumps.folder)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		for _, uid := range jumps.to {
			if err := t.jump(name, uid); err != nil {
				return err
			}
			for range 2 {
				if err := t.append(fmt.Sprintf("after a jump to %d", uid), name, t.w.mail(200)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (t *torturer) jump(folder string, uid uint32) error {
	err := errNoBackdoor
	if t.Backdoor != nil {
		err = t.Backdoor.SetNextUID(t.ctx, t.user, folder, uid)
	}
	if err != nil {
		t.refuse(fmt.Sprintf("next UID %d in %s", uid, brief(folder)), err)
	}
	return t.ctx.Err()
}

// keywords has a hundred, which is more than a Maildir's file names can hold,
// and odd ones.
func (t *torturer) keywords() error {
	name, ok, err := t.create("Keywords")
	if err != nil || !ok {
		return err
	}
	for i := 0; i < 100; i += 4 {
		m := t.w.mail(200)
		m.Flags = fmt.Sprintf("kw-%03d kw-%03d kw-%03d kw-%03d", i, i+1, i+2, i+3)
		if err := t.append("keywords "+m.Flags, name, m); err != nil {
			return err
		}
	}
	return t.oddKeywords()
}

// oddKeywords are apart, since Cyrus has room for a hundred in a folder.
func (t *torturer) oddKeywords() error {
	name, ok, err := t.create("Odd keywords")
	if err != nil || !ok {
		return err
	}
	for _, k := range []string{
		"NIL", "$", "[brk", "cl}ose", "Case", "cASE", "a.b", "a:b", "'", "1", "unknown-0",
		strings.Repeat("k", 200), `\Unknown`, "a%b", "a]b",
	} {
		m := t.w.mail(200)
		m.Flags = k
		if err := t.append("keyword "+brief(k), name, m); err != nil {
			return err
		}
	}
	return nil
}

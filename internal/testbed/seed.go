package testbed

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// SeedSpec says what a seeded account holds.
type SeedSpec struct {
	Seed       uint64
	Messages   int // in INBOX, beside the odd ones; default 40
	MedianSize int // default 2 KB; sizes are log-normal
	// Plain leaves out what mail clients choke on, though servers take it: names
	// with quotes, backslashes and wildcards, keywords with brackets or NIL,
	// which mbsync cannot parse, a message without an empty line, and a folder
	// that is listed but is not there.
	Plain bool
	// NoLarge leaves out the two messages of 1 to 2 MB.
	NoLarge bool
	// Before1970 adds a message that Dovecot 2.3 gives one INTERNALDATE in one
	// session and another one later.
	Before1970 bool
}

// Seed makes a small account that has some of everything: nested, oddly named,
// empty and emptied folders, gaps in the UIDs, all system flags and keywords,
// odd dates, duplicate Message-IDs, 8-bit, long-lined and large messages, and
// subscriptions also of a folder that is gone. It returns the folder names and
// keywords that the server would not take. What it makes depends on user and Seed alone.
func Seed(ctx context.Context, addr, user, pass string, spec SeedSpec, opts ...DialOption) (refusals []string, err error) {
	if spec.Messages == 0 {
		spec.Messages = 40
	}
	if spec.MedianSize == 0 {
		spec.MedianSize = 2 << 10
	}
	c, err := Login(ctx, addr, user, pass, opts...)
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	defer c.Close()
	s := &seeder{SeedSpec: spec, c: c, w: newWriter(spec.Seed, user)}
	if err := s.run(); err != nil {
		return s.refused, fmt.Errorf("seed: %w", err)
	}
	return s.refused, c.Logout()
}

type seeder struct {
	SeedSpec
	c       *Client
	w       *writer
	ns      namespace
	refused []string
}

func (s *seeder) run() (err error) {
	if s.ns, err = s.c.namespace(); err != nil {
		return err
	}
	for _, step := range []func() error{s.inbox, s.tree, s.oddNames, s.oddDates, s.oddMail, s.emptied, s.ghosts} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// create makes a folder; ok is false if the server does not take the name.
func (s *seeder) create(levels ...string) (name string, ok bool, err error) {
	name = s.ns.path(levels...)
	for _, level := range levels {
		if s.ns.holds(level) {
			s.refused = append(s.refused, name)
			return name, false, nil
		}
	}
	_, err = s.c.Do("CREATE ", Quote(name))
	if refused(err) {
		s.refused = append(s.refused, name)
		return name, false, nil
	}
	return name, err == nil, err
}

func (s *seeder) subscribe(name string) error {
	_, err := s.c.Do("SUBSCRIBE ", Quote(name))
	return err
}

func (s *seeder) mails(n int) []Mail {
	all := make([]Mail, n)
	for i := range all {
		all[i] = s.w.mail(s.w.size(s.MedianSize))
	}
	return all
}

// inbox has gaps of one and of many UIDs, also at the end, and every flag.
func (s *seeder) inbox() error {
	mails := s.mails(s.Messages)
	flags := []string{"", `\Seen`, `\Answered`, `\Flagged`, `\Draft`, `\Seen \Answered \Flagged \Draft`,
		`$Forwarded`, `$MDNSent \Seen`, `Junk`, `$label1`, `Work-2024 \Flagged`}
	mails = append([]Mail{gone, gone}, mails...)
	for i, f := range flags {
		mails = append(mails, s.flagged(f))
		if i%3 == 0 {
			mails = append(mails, gone)
		}
	}
	if err := s.c.appendAll("INBOX", mails); err != nil {
		return err
	}
	if !s.Plain {
		if err := s.keywords("INBOX", `[brk`, `cl}ose`, `NIL`); err != nil {
			return err
		}
	}
	if err := s.c.appendAll("INBOX", slices.Repeat([]Mail{gone}, 7+s.w.rng.IntN(5))); err != nil {
		return err
	}
	if err := s.c.purge("INBOX"); err != nil {
		return err
	}
	if _, err := s.c.Append("INBOX", s.flagged(`\Deleted \Seen`)); err != nil {
		return err
	}
	return s.subscribe("INBOX")
}

func (s *seeder) flagged(flags string) Mail {
	m := s.w.mail(s.MedianSize)
	m.Flags = flags
	return m
}

// keywords stores a message with each keyword, if the server takes it.
func (s *seeder) keywords(folder string, keywords ...string) error {
	for _, k := range keywords {
		_, err := s.c.Append(folder, s.flagged(k))
		if refused(err) {
			s.refused = append(s.refused, "keyword "+k)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// gone is a message that only leaves its UID behind.
var gone = Mail{Flags: `\Deleted`, Body: "Subject: gone\r\n\r\n"}

// tree has nested folders and the usual ones with a special use.
func (s *seeder) tree() error {
	for _, levels := range [][]string{
		{"Archive"}, {"Archive", "2019"}, {"Archive", "2019", "Q1"}, {"Archive", "2020"},
		{"Sent"}, {"Drafts"}, {"Trash"}, {"Junk"}, {"Empty"}, {"Empty", "Empty too"},
	} {
		name, ok, err := s.create(levels...)
		if err != nil {
			return err
		}
		// A server may have made the usual ones by itself; they get mail all the same.
		if !ok && len(levels) > 1 || strings.HasPrefix(levels[len(levels)-1], "Empty") {
			continue
		}
		if err := s.c.appendAll(name, append(s.mails(1+s.w.rng.IntN(4)), gone)); err != nil {
			return err
		}
		if levels[0] != "Junk" {
			if err := s.subscribe(name); err != nil {
				return err
			}
		}
	}
	return s.c.purge(s.ns.path("Archive"))
}

var plainNames = []string{"Entw&APw-rfe", "&U,BTFw-", "with space", "Tom &- Jerry", "UPPER", "upper"}

var nastyNames = []string{`quo"te`, `back\slash`, "100%", "st*r", "(paren) {9}", "~tilde", "v1.2", "[brk]", " lead", "NIL", "'apos'", "#hash", "a/b"}

func (s *seeder) oddNames() error {
	names := plainNames
	if !s.Plain {
		names = append(names[:len(names):len(names)], nastyNames...)
	}
	for _, level := range names {
		name, ok, err := s.create(level)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := s.c.appendAll(name, s.mails(1+s.w.rng.IntN(3))); err != nil {
			return err
		}
		if s.w.rng.IntN(2) == 0 {
			if err := s.subscribe(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// oddDates holds dates at the edges. Dovecot makes "now" of those it does not
// take, so what is stored is known only to a Snapshot.
func (s *seeder) oddDates() error {
	name, ok, err := s.create("Old dates")
	if err != nil || !ok {
		return err
	}
	dates := []string{
		"01-Jan-1970 00:00:01 +0000", "31-Dec-1999 23:59:59 +0530", "29-Feb-2000 00:00:00 -0930",
		"19-Jan-2038 03:14:07 +0000", "19-Jan-2038 03:14:08 +0000", "31-Dec-2037 23:59:59 +1400",
		"28-Mar-2021 02:30:00 +0100", " 1-Jul-2010 12:00:00 +0000",
	}
	if s.Before1970 {
		dates = append(dates, "01-Jul-1969 00:00:00 +0000")
	}
	mails := s.mails(len(dates))
	for i, date := range dates {
		mails[i].Date = date
	}
	return s.c.appendAll(name, mails)
}

// oddMail holds messages that are unusual in their bytes.
func (s *seeder) oddMail() error {
	name, ok, err := s.create("Odd mail")
	if err != nil || !ok {
		return err
	}
	same, other := s.w.mail(s.MedianSize), s.w.mail(s.MedianSize)
	head, _, _ := strings.Cut(same.Body, "\r\n\r\n")
	other.Body = head + "\r\n\r\nthe same Message-ID, another text\r\n"
	mails := []Mail{same, same, other}
	for _, body := range []string{
		s.w.header("text/plain; charset=utf-8") + "Grüße aus Lübeck, 船\r\n",
		s.w.header("text/plain; charset=iso-8859-1") + "Gr\xfc\xdfe\r\n",
		s.w.header("text/plain") + strings.Repeat(s.w.word()+" ", 4000) + "\r\n",
		s.w.header("text/plain") + "no line end after this",
		s.w.header("text/plain"),
		"\r\nno header " + s.w.line(),
		s.w.header("text/plain") + ".\r\n..\r\nFrom a mbox\r\n>From another\r\n",
	} {
		mails = append(mails, Mail{Flags: s.w.flags(), Date: s.w.date(), Body: body})
	}
	if !s.Plain {
		mails = append(mails, Mail{Body: "Subject: header only, no empty line " + s.w.line()})
	}
	if !s.NoLarge {
		mails = append(mails, s.w.attachment(1<<20+s.w.rng.IntN(1<<18)), s.w.mail(1<<20))
	}
	return s.c.appendAll(name, mails)
}

// emptied is a folder that once held mail: its UIDNEXT is above 1.
func (s *seeder) emptied() error {
	name, ok, err := s.create("Emptied")
	if err != nil || !ok {
		return err
	}
	if err := s.c.appendAll(name, []Mail{gone, gone, gone}); err != nil {
		return err
	}
	return s.c.purge(name)
}

// ghosts leaves a subscription without its folder, and a parent that may be
// there in name only.
func (s *seeder) ghosts() error {
	away, ok, err := s.create("Gone away")
	if err != nil || !ok {
		return err
	}
	if err := s.subscribe(away); err != nil {
		return err
	}
	if _, err := s.c.Do("DELETE ", Quote(away)); err != nil {
		return err
	}
	for _, levels := range [][]string{{"Ghost"}, {"Ghost", "Leaf"}} {
		if _, _, err := s.create(levels...); err != nil {
			return err
		}
	}
	if !s.Plain { // servers keep its name, drop it or refuse, each in its way
		if _, err := s.c.Do("DELETE ", Quote(s.ns.path("Ghost"))); err != nil && !refused(err) {
			return err
		}
	}
	return s.c.appendAll(s.ns.path("Ghost", "Leaf"), s.mails(2))
}

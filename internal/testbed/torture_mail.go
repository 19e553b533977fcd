package testbed

import (
	"fmt"
	"strings"
)

// tortureDates are at and beyond the edges of what servers store, with zones
// that are and zones that cannot be.
var tortureDates = []string{
	"01-Jan-1970 00:00:00 +0000", "19-Jan-2038 03:14:07 +0000", "19-Jan-2038 03:14:08 +0000", "07-Feb-2106 06:28:16 +0000",
	"31-Dec-9999 23:59:59 +0000", "29-Feb-2000 12:00:00 +0545", "31-Apr-2020 00:00:00 +0000",
	"31-Dec-2016 23:59:60 +0000", "28-Mar-2021 02:30:00 +0100", "01-Jul-2010 12:00:00 -1200", "01-Jul-2010 12:00:00 +1400",
	"01-Jul-2010 12:00:00 -0000", "01-Jul-2010 12:00:00 +2359", "01-Jul-2010 12:00:00 -2359", " 1-Jul-2010 12:00:00 +0000",
	"01-jul-2010 12:00:00 +0000", "01-Jul-2010 24:00:00 +0000",
}

// unsteadyDates are in a folder of their own, UnsteadyFolder: Dovecot 2.3 takes
// them, and gives them back as another date in each later session.
var unsteadyDates = []string{
	"31-Dec-1969 23:59:59 +0000", "01-Jan-1970 00:00:00 +1400", "13-Dec-1901 20:45:52 +0000",
	"01-Jan-1900 00:00:00 +0000", "01-Jan-0001 00:00:00 +0000", "29-Feb-1999 12:00:00 +0000",
}

// UnsteadyFolder is the folder of a tortured account, below its prefix, whose
// dates a server may change between two Snapshots.
const UnsteadyFolder = "Unsteady dates"

func (t *torturer) dates() error {
	if err := t.dated("Dates", tortureDates); err != nil {
		return err
	}
	return t.dated(UnsteadyFolder, unsteadyDates)
}

func (t *torturer) dated(folder string, dates []string) error {
	name, ok, err := t.create(folder)
	if err != nil || !ok {
		return err
	}
	for _, date := range dates {
		m := t.w.mail(200)
		m.Date = date
		if err := t.append("date "+date, name, m); err != nil {
			return err
		}
	}
	return nil
}

// oddity is a message with the word for what is odd.
type oddity struct{ what, body string }

// oddities may be sent by APPEND; servers refuse or change some of them.
func (w *writer) oddities() []oddity {
	h := func() string { return w.header("text/plain") }
	twice, other := w.mail(500).Body, h()
	sameID := "Message-ID: <the.same@sender.example>\r\nSubject: "
	return append([]oddity{
		{"a message", twice}, {"the same content again", twice},
		{"a Message-ID", sameID + "one\r\n\r\none\r\n"}, {"the same Message-ID", sameID + "two\r\n\r\ntwo\r\n"},
		{"two Message-IDs", "Message-ID: <a@x.example>\r\n" + sameID + "three\r\n\r\n"}, {"no Message-ID", "Subject: none\r\n\r\n" + w.line()},
		{"an empty Message-ID", "Message-ID:\r\nSubject: empty\r\n\r\n" + w.line()},
		{"a line of 100 KB", h() + strings.Repeat("x", 100<<10) + "\r\n"}, {"a header line of 100 KB", "X-Long: " + strings.Repeat("x", 100<<10) + "\r\n" + h()},
		{"no header", "\r\n" + w.line()}, {"no header and no empty line", w.line()}, {"an empty body", h()}, {"a header without an end", "Subject: no end"},
		{"one empty line", "\r\n"}, {"one byte", "x"}, {"nothing", ""},
		{"no line end at the end", h() + "no end"}, {"dots", h() + ".\r\n..\r\n. \r\n"}, {"a From line first", "From alice Mon Jan  1 00:00:00 2001\r\n" + other},
		{"a From line inside", h() + "From bob\r\n>From bob\r\n"}, {"8 bit", h() + "Gr\xfc\xdfe \xff\xfe\r\n"}, {"8 bit in the header", "Subject: Gr\xfc\xdfe\r\n\r\n"},
		{"a literal's head", h() + "{5}\r\n* BYE x\r\nt1 OK {3+}\r\n"}, {"1000 header lines", strings.Repeat("Received: from x\r\n", 1000) + h()},
		{"a header without a name", ": nothing\r\n no colon\r\n" + h()}, {"500 recipients", "To: " + strings.Repeat("alice@example.org,\r\n ", 500) + "bob@example.org\r\n" + h()},
		{"deep parts", nested(50)}, {"parts without a boundary", w.header("multipart/mixed") + w.line()},
		{"parts without an end", w.header("multipart/mixed; boundary=b") + "--b\r\n\r\n" + w.line()},
	}, w.brokenLines()...)
}

// brokenLines are bytes that RFC 3501 forbids in messages or that are no line
// ends in RFC 5322.
func (w *writer) brokenLines() []oddity {
	h := func() string { return w.header("text/plain") }
	return []oddity{
		{"a NUL byte", h() + "a\x00b\r\n"}, {"NUL bytes alone", strings.Repeat("\x00", 100)}, {"a NUL byte in the header", "Subject: a\x00b\r\n\r\n"},
		{"bare LF", strings.ReplaceAll(h(), "\r\n", "\n") + "one\ntwo\n"}, {"bare LF in the body", h() + "one\ntwo\r\nthree\n"},
		{"bare CR", h() + "one\rtwo\r\n"}, {"CR CR LF", h() + "one\r\r\ntwo\r\n"}, {"a CR at the end", h() + "one\r"}, {"LF CR", h() + "one\n\rtwo\r\n"},
		{"CR as the line end", strings.ReplaceAll(h(), "\r\n", "\r")}, {"control bytes", h() + "\x01\x02\x07\x08\x0b\x0c\x1b\x7f\r\n"},
	}
}

func nested(depth int) string {
	var b strings.Builder
	b.WriteString("Subject: deep\r\nMIME-Version: 1.0\r\n")
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n", i)
	}
	b.WriteString("Content-Type: text/plain\r\n\r\nat the bottom\r\n")
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.String()
}

func (t *torturer) messages() error {
	name, ok, err := t.create("Messages")
	if err != nil || !ok {
		return err
	}
	for _, o := range t.w.oddities() {
		if err := t.append(o.what, name, Mail{Date: t.w.date(), Flags: t.w.flags(), Body: o.body}); err != nil {
			return err
		}
	}
	if t.Large == 0 {
		return nil
	}
	return t.append(fmt.Sprintf("%d bytes", t.Large), name, t.w.mail(t.Large))
}

// files puts messages where APPEND has no say.
func (t *torturer) files() error {
	name, ok, err := t.create("Files")
	if err != nil || !ok {
		return err
	}
	for _, o := range append(t.w.brokenLines(), oddity{"nothing", ""}, oddity{"a message", t.w.mail(300).Body}) {
		m := Mail{Date: t.w.date(), Flags: `\Seen`, Body: o.body}
		err := errNoBackdoor
		if t.Backdoor != nil {
			err = t.Backdoor.PutFile(t.user, name, m)
		}
		if err != nil {
			t.refuse(fmt.Sprintf("file in %s: %s", brief(name), o.what), err)
		}
	}
	return t.ctx.Err()
}

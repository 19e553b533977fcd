package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imapferry/internal/wire"
)

func (c *fakeConn) runInFolder(verb, args string) string {
	if verb == "STATUS" || verb == "SELECT" || verb == "EXAMINE" || verb == "APPEND" {
		name := c.name(args, 0)
		ff := c.f.folders[name]
		if ff == nil {
			return "NO [NONEXISTENT] no such folder"
		}
		switch verb {
		case "STATUS":
			ff.tell(c, name)
		case "APPEND":
			return c.append(ff, args)
		default:
			c.selected = name
			fmt.Fprintf(&c.w, "* %d EXISTS\r\n* OK [UIDVALIDITY %d] .\r\n* OK [UIDNEXT %d] .\r\n", len(ff.mail), ff.validity, ff.next)
			c.resynchronize(ff, args)
		}
		return "OK done"
	}
	ff := c.f.folders[c.selected]
	if ff == nil {
		return "BAD " + verb + ": nothing is selected"
	}
	set, items, _ := strings.Cut(args, " ")
	if verb == "UID SEARCH" {
		set = "1:*"
	}
	ranges, err := wire.ParseSet(strings.ReplaceAll(set, "*", "4294967295"))
	if err != nil {
		return "BAD " + err.Error()
	}
	switch verb {
	case "FETCH", "UID FETCH":
		for i, m := range ff.mail {
			if verb == "FETCH" && ranges.Contains(uint32(i+1)) || verb != "FETCH" && (ranges.Contains(m.uid) || strings.HasSuffix(set, "*") && i == len(ff.mail)-1) {
				fmt.Fprintf(&c.w, "* %d FETCH (%s)\r\n", i+1, m.items(items))
			}
		}
	case "UID SEARCH": // all might match: whoever searches has to look for itself
		c.w.WriteString("* SEARCH")
		for _, m := range ff.mail {
			fmt.Fprintf(&c.w, " %d", m.uid)
		}
		c.w.WriteString("\r\n")
	case "UID STORE":
		for _, m := range ff.mail {
			if ranges.Contains(m.uid) {
				m.store(items)
				m.flags = c.f.kept(m.flags)
				ff.touch(m)
			}
		}
	case "UID EXPUNGE":
		ff.expunge(func(m *fakeMail) bool { return ranges.Contains(m.uid) && strings.Contains(m.flags, `\Deleted`) })
	case "UID COPY":
		first := ff.next
		for _, m := range slices.Clone(ff.mail) {
			if ranges.Contains(m.uid) {
				ff.add(&fakeMail{uid: ff.next, flags: m.flags, date: m.date, body: m.body})
			}
		}
		return fmt.Sprintf("OK [COPYUID %d %s %s] done", ff.validity, set, wire.Range{From: first, To: ff.next - 1})
	default:
		return "BAD unknown command " + verb
	}
	return "OK done"
}

func (c *fakeConn) append(ff *fakeFolder, args string) string {
	first := ff.next
	for _, m := range fakeAppend.FindAllStringSubmatch(args, -1) {
		i, _ := strconv.Atoi(m[3])
		if c.f.refuses != nil {
			if words := c.f.refuses(&fakeMail{flags: m[1], date: m[2], body: c.literals[i]}); words != "" {
				return words
			}
		}
	}
	for _, m := range fakeAppend.FindAllStringSubmatch(args, -1) {
		i, _ := strconv.Atoi(m[3])
		ff.add(&fakeMail{uid: ff.next, flags: c.f.kept(m[1]), date: m[2], body: c.literals[i]})
	}
	return fmt.Sprintf("OK [APPENDUID %d %s] done", ff.validity, wire.Range{From: first, To: ff.next - 1})
}

// add puts a message behind the others.
func (ff *fakeFolder) add(m *fakeMail) {
	ff.mail = append(ff.mail, m)
	ff.next = max(ff.next, m.uid+1)
	ff.touch(m)
}

// touch gives a changed message the next mod-sequence.
func (ff *fakeFolder) touch(m *fakeMail) {
	ff.modSeq++
	m.modSeq = ff.modSeq
}

func (ff *fakeFolder) expunge(which func(*fakeMail) bool) {
	ff.mail = slices.DeleteFunc(ff.mail, func(m *fakeMail) bool {
		if which(m) {
			ff.modSeq++
			ff.gone[m.uid] = ff.modSeq
		}
		return which(m)
	})
}

// tell answers STATUS.
func (ff *fakeFolder) tell(c *fakeConn, name string) {
	fmt.Fprintf(&c.w, "* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d%s)\r\n", fakeName(name), len(ff.mail), ff.next, ff.validity, c.f.status(ff))
}

// status is what STATUS tells with CONDSTORE beside the rest.
func (f *fake) status(ff *fakeFolder) string {
	if !strings.Contains(f.caps, "CONDSTORE") {
		return ""
	}
	return fmt.Sprintf(" HIGHESTMODSEQ %d", ff.modSeq)
}

var fakeQresync = regexp.MustCompile(`\(QRESYNC \(\d+ (\d+)\)\)`)

// resynchronize answers the QRESYNC parameter of SELECT (RFC 7162).
func (c *fakeConn) resynchronize(ff *fakeFolder, args string) {
	if c.f.status(ff) == "" {
		return
	}
	fmt.Fprintf(&c.w, "* OK [HIGHESTMODSEQ %d] .\r\n", ff.modSeq)
	m := fakeQresync.FindStringSubmatch(args)
	if m == nil {
		return
	}
	since, _ := strconv.ParseUint(m[1], 10, 64)
	for uid, at := range ff.gone {
		if at > since {
			fmt.Fprintf(&c.w, "* VANISHED (EARLIER) %d\r\n", uid)
		}
	}
	for i, m := range ff.mail {
		if m.modSeq > since {
			fmt.Fprintf(&c.w, "* %d FETCH (UID %d FLAGS (%s) MODSEQ (%d))\r\n", i+1, m.uid, m.flags, m.modSeq)
		}
	}
}

var fakeItem = regexp.MustCompile(`UID|FLAGS|INTERNALDATE|RFC822\.SIZE|BODY\.PEEK\[(?:HEADER(?:\.FIELDS \([A-Z -]*\))?)?\]`)

func (m *fakeMail) items(want string) string {
	var out []string
	for _, item := range fakeItem.FindAllString(want, -1) {
		switch item {
		case "UID":
			out = append(out, fmt.Sprintf("UID %d", m.uid))
		case "FLAGS":
			out = append(out, fmt.Sprintf("FLAGS (%s)", m.flags))
		case "INTERNALDATE":
			out = append(out, fmt.Sprintf("INTERNALDATE %q", m.date))
		case "RFC822.SIZE":
			bare := strings.Count(m.body, "\n") - strings.Count(m.body, "\r\n") // servers count them as CRLF, and some send them so
			out = append(out, fmt.Sprintf("RFC822.SIZE %d", len(m.body)+bare))
		case "BODY.PEEK[]":
			out = append(out, fmt.Sprintf("BODY[] {%d}\r\n%s", len(m.body), m.body))
		default:
			header, _, _ := strings.Cut(m.body, "\r\n\r\n")
			out = append(out, fmt.Sprintf("%s {%d}\r\n%s", strings.Replace(item, ".PEEK", "", 1), len(header)+4, header+"\r\n\r\n"))
		}
	}
	return strings.Join(out, " ")
}

func (f *fake) kept(flags string) string {
	words := strings.Fields(flags)
	if f.keeps != nil {
		words = slices.DeleteFunc(words, func(w string) bool { return !f.keeps(w) })
	}
	return strings.Join(words, " ")
}

func (m *fakeMail) store(items string) {
	verb, list, _ := strings.Cut(items, " ")
	list = strings.Trim(list, "()")
	if strings.HasPrefix(verb, "+") && m.flags != "" {
		list = m.flags + " " + list
	}
	words := strings.Fields(list)
	slices.Sort(words)
	m.flags = strings.Join(slices.Compact(words), " ")
}

// rename renames a folder and what lies below it, but for INBOX, which leaves that where it is (RFC 9051, 6.3.6).
func (f *fake) rename(from, to string) {
	for n, folder := range f.folders {
		if below, ok := strings.CutPrefix(n, from+"/"); ok && from != "INBOX" {
			delete(f.folders, n)
			f.folders[to+"/"+below] = folder
		}
	}
	f.folders[to] = f.folders[from]
	delete(f.folders, from)
}

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
			fmt.Fprintf(c.w, "* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)\r\n", fakeName(name), len(ff.mail), ff.next, ff.validity)
		case "APPEND":
			return c.append(ff, args)
		default:
			c.selected = name
			fmt.Fprintf(c.w, "* %d EXISTS\r\n* OK [UIDVALIDITY %d] .\r\n* OK [UIDNEXT %d] .\r\n", len(ff.mail), ff.validity, ff.next)
		}
		return "OK done"
	}
	ff := c.f.folders[c.selected]
	if ff == nil {
		return "BAD " + verb + ": nothing is selected"
	}
	set, items, _ := strings.Cut(args, " ")
	ranges, err := wire.ParseSet(strings.ReplaceAll(set, "*", "4294967295"))
	if err != nil {
		return "BAD " + err.Error()
	}
	switch verb {
	case "FETCH", "UID FETCH":
		for i, m := range ff.mail {
			if verb == "FETCH" && ranges.Contains(uint32(i+1)) || verb != "FETCH" && (ranges.Contains(m.uid) || strings.HasSuffix(set, "*") && i == len(ff.mail)-1) {
				fmt.Fprintf(c.w, "* %d FETCH (%s)\r\n", i+1, m.items(items))
			}
		}
	case "UID STORE":
		for _, m := range ff.mail {
			if ranges.Contains(m.uid) {
				m.store(items)
			}
		}
	case "UID EXPUNGE":
		ff.mail = slices.DeleteFunc(ff.mail, func(m *fakeMail) bool { return ranges.Contains(m.uid) && strings.Contains(m.flags, `\Deleted`) })
	case "UID COPY":
		first := ff.next
		for _, m := range slices.Clone(ff.mail) {
			if ranges.Contains(m.uid) {
				ff.mail = append(ff.mail, &fakeMail{ff.next, m.flags, m.date, m.body})
				ff.next++
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
		ff.mail = append(ff.mail, &fakeMail{ff.next, m[1], m[2], c.literals[i]})
		ff.next++
	}
	return fmt.Sprintf("OK [APPENDUID %d %s] done", ff.validity, wire.Range{From: first, To: ff.next - 1})
}

var fakeItem = regexp.MustCompile(`UID|FLAGS|INTERNALDATE|RFC822\.SIZE|BODY\.PEEK\[\]`)

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
			out = append(out, fmt.Sprintf("RFC822.SIZE %d", len(m.body)))
		default:
			out = append(out, fmt.Sprintf("BODY[] {%d}\r\n%s", len(m.body), m.body))
		}
	}
	return strings.Join(out, " ")
}

func (m *fakeMail) store(items string) {
	verb, list, _ := strings.Cut(items, " ")
	list = strings.Trim(list, "()")
	if strings.HasPrefix(verb, "+") && m.flags != "" {
		list = m.flags + " " + list
	}
	m.flags = list
}

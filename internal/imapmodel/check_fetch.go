package imapmodel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fetched checks a FETCH response: what it says of the message, and whether that is what it was.
func (s *Session) fetched(v *view, r *response) error {
	m, err := v.at(r.num)
	if err != nil {
		return err
	}
	if len(r.args) != 1 || len(r.args[0].list)%2 != 0 {
		return fmt.Errorf("FETCH without pairs of names and values")
	}
	items := map[string]value{}
	for list := r.args[0].list; len(list) > 0; list = list[2:] {
		items[strings.ToUpper(list[0].text)] = list[1]
	}
	if uid, ok := items["UID"]; ok {
		if err := v.setUID(r.num, uint32(uintOf(uid))); err != nil {
			return err
		}
	}
	if err := s.modseq(m, items); err != nil {
		return err
	}
	if err := s.flagsTold(v, m, items); err != nil {
		return err
	}
	if m.uid != 0 {
		if err := v.content(m, items); err != nil {
			return err
		}
	}
	for _, c := range s.inFlight {
		if c.fetch != nil {
			if err := c.fetch(m, items); err != nil {
				return err
			}
		}
	}
	return nil
}

// modseq checks what CONDSTORE and QRESYNC add (RFC 7162, 3.1 and 3.2.4).
func (s *Session) modseq(m *message, items map[string]value) error {
	mod, told := items["MODSEQ"]
	_, withFlags := items["FLAGS"]
	_, withUID := items["UID"]
	unasked := !slices.ContainsFunc(s.inFlight, func(c *command) bool { return c.fetch != nil })
	switch {
	case told && !s.condstore:
		return fmt.Errorf("MODSEQ, and nobody has enabled CONDSTORE")
	case withFlags && unasked && s.condstore && !told:
		return fmt.Errorf("flags without MODSEQ, and CONDSTORE is enabled")
	case withFlags && unasked && s.qresync && !withUID:
		return fmt.Errorf("flags without UID, and QRESYNC is enabled")
	case !told:
		return nil
	}
	if len(mod.list) != 1 || uintOf(mod.list[0]) == 0 {
		return fmt.Errorf("MODSEQ is no number in parentheses")
	}
	n := uintOf(mod.list[0])
	if n < m.modseq {
		return fmt.Errorf("MODSEQ of UID %d is %d, was %d", m.uid, n, m.modseq)
	}
	m.modseq = n
	return nil
}

func (s *Session) flagsTold(v *view, m *message, items map[string]value) error {
	told, ok := items["FLAGS"]
	if !ok {
		return nil
	}
	f := flagsOf(told.list)
	for _, word := range f.words() {
		if v.keywords != nil && !v.keywords[word] {
			return fmt.Errorf("flag %s of UID %d is not among FLAGS", word, m.uid)
		}
	}
	m.flags, m.known = f, true
	m.told, m.toldIn = m.told+1, s.answers
	if m.uid == 0 {
		return nil
	}
	return s.compare(v.in, m)
}

// content checks everything that never changes.
func (v *view) content(m *message, items map[string]value) error {
	c := v.in.copy(m.uid)
	for name, item := range items {
		id := letter("")
		switch {
		case name == "ENVELOPE" && len(item.list) == 10 && item.list[1].quoted:
			id = letter(item.list[1].text)
		case strings.HasPrefix(name, "BODY["):
			id = letterIn(item.text)
		}
		if id != "" {
			if err := c.name(v.in, m.uid, id); err != nil {
				return err
			}
		}
	}
	if c.id == "" {
		return nil
	}
	for name, item := range items {
		if c.doomed() && unreadable(item) {
			continue
		}
		if err := c.id.check(name, item); err != nil {
			return fmt.Errorf("UID %d of %s: %w", m.uid, v.in.name, err)
		}
	}
	return nil
}

// unreadable is an allowance for Dovecot: of a message that another session has expunged, and whose file is gone, it tells no
// body, size or date before it says NO [EXPUNGEISSUED]. RFC 2180, 4.1.2 allows that.
func unreadable(item value) bool {
	switch n := len(item.list); {
	case n == 10: // an ENVELOPE
		item = item.list[9]
	case n >= 8: // a BODYSTRUCTURE
		item = item.list[6]
	}
	return !item.quoted && item.text == "NIL" || item.text == "0" ||
		item.quoted && (item.text == "" || item.text == "01-Jan-1970 00:00:00 +0000")
}

// check compares one item with what the letter must give.
func (l letter) check(name string, item value) error {
	want := ""
	switch section, origin, _ := strings.Cut(name, "<"); section {
	case "RFC822.SIZE":
		want = strconv.Itoa(len(l.body()))
	case "INTERNALDATE":
		at, err := time.Parse(dateLayout, item.text)
		if err != nil || !at.Equal(l.date()) {
			return fmt.Errorf("INTERNALDATE is %s, want %s", item.text, l.date().Format(dateLayout))
		}
		return nil
	case "ENVELOPE":
		if len(item.list) != 10 || item.list[9].text != "<"+string(l)+"@model.example>" {
			return fmt.Errorf("ENVELOPE is not that of %s", l)
		}
		return nil
	case "BODYSTRUCTURE":
		if len(item.list) < 8 || uintOf(item.list[6]) != uint64(len(l.text())) {
			return fmt.Errorf("BODYSTRUCTURE is not that of %s", l)
		}
		return nil
	case "BODY[]":
		return l.compare(l.body(), origin, item.text)
	case "BODY[HEADER]":
		want = l.header()
	case "BODY[TEXT]":
		want = l.text()
	case "BODY[HEADER.FIELDS (" + headerName + ")]":
		want = idHeader + ": " + string(l) + "\r\n\r\n"
	default:
		return nil
	}
	if item.text != want {
		return fmt.Errorf("%s of %s is %q, want %q", name, l, shorten(item.text, 80), shorten(want, 80))
	}
	return nil
}

// headerName is how the field is asked for.
var headerName = strings.ToUpper(idHeader)

// partial is how much of a body is asked for where a part is.
const partial = 120

// compare checks a body, or the part from origin on, of which the text is "10>".
func (l letter) compare(whole, origin, got string) error {
	if origin != "" {
		from, err := strconv.Atoi(strings.TrimSuffix(origin, ">"))
		if err != nil {
			return fmt.Errorf("origin of a part: %w", err)
		}
		from = min(from, len(whole))
		whole = whole[from:min(from+partial, len(whole))]
	}
	if got != whole {
		return fmt.Errorf("body of %s has %d bytes, want %d, or differs", l, len(got), len(whole))
	}
	return nil
}

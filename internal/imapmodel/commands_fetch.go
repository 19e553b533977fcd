package imapmodel

import (
	"fmt"
	"slices"
	"strings"
)

// fetchItems are what is asked for, and under which name it comes. Those that mark a message as read are alone in it.
var fetchItems = []struct{ ask, name string }{
	{"FLAGS", "FLAGS"},
	{"UID", "UID"},
	{"ENVELOPE", "ENVELOPE"},
	{"INTERNALDATE", "INTERNALDATE"},
	{"RFC822.SIZE", "RFC822.SIZE"},
	{"BODYSTRUCTURE", "BODYSTRUCTURE"},
	{"BODY.PEEK[]", "BODY[]"},
	{"BODY.PEEK[HEADER]", "BODY[HEADER]"},
	{"BODY.PEEK[TEXT]", "BODY[TEXT]"},
	{"BODY.PEEK[HEADER.FIELDS (" + headerName + ")]", "BODY[HEADER.FIELDS (" + headerName + ")]"},
	{fmt.Sprintf("BODY.PEEK[]<10.%d>", partial), "BODY[]<10>"},
	{"BODY[]", "BODY[]"},
	{"BODY[TEXT]", "BODY[TEXT]"},
}

const peeking = 11 // so many of them do not mark a message as read

// fetch reads some items of some messages.
func (s *Session) fetch(byUID bool) *command {
	set, text := s.pick(byUID, 8, false)
	if set == nil {
		return nil
	}
	var ask, want []string
	marks := false
	for range 1 + s.rng.IntN(3) {
		i := s.rng.IntN(len(fetchItems))
		if item := fetchItems[i]; !slices.Contains(want, item.name) {
			ask, want = append(ask, item.ask), append(want, item.name)
			marks = marks || i >= peeking
		}
	}
	if marks && slices.ContainsFunc(set, func(m *message) bool { return m.uid == 0 }) {
		return nil // whose flags change must be known
	}
	if s.condstore && s.rng.IntN(4) == 0 {
		ask, want = append(ask, "MODSEQ"), append(want, "MODSEQ")
	}
	return s.fetchOf(byUID, set, text, ask, want, marks)
}

// list reads the UIDs and flags of all messages, as clients do after they have opened a folder.
func (s *Session) list() *command {
	ask := []string{"UID", "FLAGS"}
	return s.fetchOf(false, s.view.msgs, "1:*", ask, ask, false)
}

func (s *Session) fetchOf(byUID bool, set []*message, text string, ask, want []string, marks bool) *command {
	c := plain("FETCH", text+" ("+strings.Join(ask, " ")+")")
	c.serial = true
	if byUID {
		c = plain("UID FETCH", text+" ("+strings.Join(ask, " ")+")")
		want = append(slices.Clone(want), "UID")
	}
	v, set := s.view, slices.Clone(set)
	got := map[*message]map[string]bool{}
	c.fetch = func(m *message, items map[string]value) error {
		if got[m] == nil {
			got[m] = map[string]bool{}
		}
		for name := range items {
			got[m][name] = true
		}
		return nil
	}
	told, end := map[*message]int(nil), func() {}
	if marks && !v.readOnly {
		c.send = func() { told, end = s.begin(set) }
	}
	c.ok = func(r *response) error {
		end()
		for _, m := range set {
			if m.uid == 0 && got[m] == nil && r.is("EXPUNGEISSUED") { // whether it was doomed cannot be known
				continue
			}
			if err := s.answered(v, m, got[m], want); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if marks && !v.readOnly && m.uid != 0 && !m.gone {
				if err := s.changed(v.in, m, "+FLAGS", `\Seen`, told); err != nil {
					return err
				}
			}
		}
		return v.complete()
	}
	c.no = func(r *response) error { end(); return s.mayRefuse(c, v, set, r) }
	c.lost = func() { end() }
	return c
}

// answered demands that a message that is still there was told of with all items.
func (s *Session) answered(v *view, m *message, got map[string]bool, want []string) error {
	if m.gone || v.doomed(m) {
		return nil
	}
	for _, name := range want {
		if !got[name] {
			return fmt.Errorf("no %s of UID %d", name, m.uid)
		}
	}
	return nil
}

// mayRefuse accepts NO if somebody may have expunged one of the messages meanwhile (RFC 2180, 4.1; RFC 5530: EXPUNGEISSUED).
// Of their flags nothing is known any more.
func (s *Session) mayRefuse(c *command, v *view, set []*message, r *response) error {
	some := false
	for _, m := range set {
		some = some || m.gone || m.uid == 0 || v.doomed(m)
		s.forget(v.in, m.uid)
	}
	if !some {
		return fmt.Errorf("%s is refused though no message is gone: [%s] %s", c.name, strings.Join(r.code, " "), r.text)
	}
	return nil
}

// pick chooses at most about most messages of the open folder and a set that stands for them. With known, the UIDs of all of
// them are. The set may name UIDs that are gone.
func (s *Session) pick(byUID bool, most int, known bool) (set []*message, text string) {
	v := s.view
	if len(v.msgs) == 0 {
		return nil, ""
	}
	if len(v.saved) > 0 && s.rng.IntN(3) == 0 {
		return s.pickSaved()
	}
	from := s.rng.IntN(len(v.msgs))
	to := min(from+1+s.rng.IntN(most), len(v.msgs))
	set = slices.Clone(v.msgs[from:to])
	if s.rng.IntN(3) == 0 {
		if m := v.msgs[s.rng.IntN(len(v.msgs))]; !slices.Contains(set, m) {
			set = append(set, m)
		}
	}
	if (byUID || known) && slices.ContainsFunc(set, func(m *message) bool { return m.uid == 0 }) {
		return nil, ""
	}
	if byUID {
		return set, formatSet(uidsOf(set))
	}
	seqs := make([]uint32, len(set))
	for i, m := range set {
		seqs[i] = uint32(slices.Index(v.msgs, m) + 1)
	}
	if len(set) == to-from && to == len(v.msgs) && s.rng.IntN(2) == 0 {
		return set, fmt.Sprintf("*:%d", from+1)
	}
	return set, formatSet(seqs)
}

// pickSaved chooses the saved result (RFC 5182), which stands for UIDs and sequence numbers alike.
func (s *Session) pickSaved() (set []*message, text string) {
	set = slices.DeleteFunc(slices.Clone(s.view.saved), func(m *message) bool { return m.gone })
	if len(set) == 0 {
		return nil, ""
	}
	return set, "$"
}

func uidsOf(set []*message) []uint32 {
	uids := make([]uint32, len(set))
	for i, m := range set {
		uids[i] = m.uid
	}
	return uids
}

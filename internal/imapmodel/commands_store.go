package imapmodel

import (
	"fmt"
	"slices"
)

// store changes flags. In shared folders a session leaves alone what belongs to others, see Session.part, and never takes
// back a mark for deletion: another session may have gone by it already.
func (s *Session) store(byUID bool) *command {
	set, text := s.pick(byUID, 4, true)
	if set == nil {
		return nil
	}
	op := []string{"+FLAGS", "-FLAGS"}[s.rng.IntN(2)]
	change := s.someFlags()
	if s.view.in.owner == s && s.rng.IntN(3) == 0 {
		op = "FLAGS"
	}
	if change == "" {
		change = flags(keyword(s.n))
	}
	return s.storeOf(byUID, set, text, op, change, s.rng.IntN(3) == 0)
}

// mark marks one or two messages for deletion.
func (s *Session) mark(byUID bool) *command {
	set, text := s.pick(byUID, 1, true)
	if set == nil || len(set) > 2 || len(s.view.msgs) < 8 {
		return nil
	}
	return s.storeOf(byUID, set, text, "+FLAGS", `\Deleted`, s.rng.IntN(3) == 0)
}

func (s *Session) storeOf(byUID bool, set []*message, text, op string, change flags, silent bool) *command {
	v, f := s.view, s.view.in
	if v.readOnly {
		return nil
	}
	item := op
	if silent {
		item += ".SILENT"
	}
	name := "STORE"
	if byUID {
		name = "UID STORE"
	}
	c := plain(name, text+" "+item+" ("+string(change)+")")
	c.serial = !byUID
	var told map[*message]int
	var end func()
	c.send = func() {
		told, end = s.begin(set)
		if change.has(`\Deleted`) {
			for _, m := range set {
				f.copy(m.uid).marked = true
			}
		}
	}
	c.ok = func(*response) error {
		end()
		for _, m := range set {
			if m.gone {
				continue
			}
			if err := s.changed(f, m, op, change, told); err != nil {
				return err
			}
			s.noteMark(f, m.uid, op, change)
		}
		return nil
	}
	c.no = func(r *response) error { end(); return s.mayRefuse(c, v, set, r) }
	c.lost = func() {
		end()
		for _, m := range set {
			s.forget(f, m.uid)
			delete(s.marked[f], m.uid)
		}
	}
	return c
}

// noteMark notes which messages this session has marked for deletion.
func (s *Session) noteMark(f *folder, uid uint32, op string, change flags) {
	if s.marked[f] == nil {
		s.marked[f] = map[uint32]bool{}
	}
	switch {
	case change.has(`\Deleted`):
		s.marked[f][uid] = op != "-FLAGS"
	case op == "FLAGS":
		delete(s.marked[f], uid)
	}
}

// expunge removes what is marked for deletion, by whomever; with byUID only of some messages.
func (s *Session) expunge(byUID bool) *command {
	v := s.view
	if v.readOnly {
		return nil
	}
	c := plain("EXPUNGE", "")
	among := v.msgs
	if byUID {
		set, text := s.pick(true, 20, true)
		if set == nil {
			return nil
		}
		among, c = set, plain("UID EXPUNGE", text)
	}
	var due []*message
	c.send = func() {
		for _, m := range among {
			if s.marked[v.in][m.uid] && !s.changing(m) {
				due = append(due, m)
			}
		}
	}
	c.ok = func(r *response) error {
		for _, m := range due {
			if !m.gone {
				return fmt.Errorf("UID %d is marked for deletion and still there after %s", m.uid, c.name)
			}
		}
		return nil
	}
	return c
}

// someFlags chooses flags that this session may change.
func (s *Session) someFlags() flags {
	var some []string
	for _, w := range []string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`, keyword(s.n), keyword(s.n)} {
		if s.rng.IntN(3) == 0 {
			some = append(some, w)
		}
	}
	return makeFlags(slices.Compact(some))
}

// closeFolder leaves the folder: CLOSE expunges what is marked, silently; UNSELECT does not (RFC 9051, 6.4.1 and 6.4.2).
func (s *Session) closeFolder() *command {
	if s.has("UNSELECT") && s.rng.IntN(2) == 0 {
		return s.leave("UNSELECT")
	}
	return s.leave("CLOSE")
}

func (s *Session) leave(name string) *command {
	v, c := s.view, plain(name, "")
	c.ok = func(*response) error {
		s.view = nil
		s.remember(v)
		if name != "CLOSE" || v.readOnly {
			return nil
		}
		for _, m := range v.msgs {
			if m.uid != 0 && s.marked[v.in][m.uid] {
				if err := s.a.remove(v.in, m.uid); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return c
}

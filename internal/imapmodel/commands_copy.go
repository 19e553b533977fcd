package imapmodel

import (
	"fmt"
	"slices"
)

// copyTo copies or moves messages into a folder that may be the open one.
func (s *Session) copyTo(byUID, move bool) *command {
	v := s.view
	set, text := s.pick(byUID, 3, true)
	to := s.anyFolder()
	if set == nil || move && (to == v.in || v.readOnly || !s.has("MOVE") || len(v.msgs) < 8) {
		return nil
	}
	name := "COPY"
	if move {
		name = "MOVE"
	}
	if byUID {
		name = "UID " + name
	}
	c := plain(name, text+" "+quote(to.name))
	copied := false
	take := func(r *response) (bool, error) {
		if !r.is("COPYUID") {
			return false, nil
		}
		copied = true
		return true, s.copied(v.in, to, set, r)
	}
	floor := uint32(0)
	c.send = func() {
		floor = to.next
		if move {
			for _, m := range set {
				v.in.copy(m.uid).moved = true
			}
		}
	}
	if move {
		c.data = func(r *response) (bool, error) {
			if r.name != "OK" {
				return false, nil
			}
			return take(r)
		}
	}
	c.ok = func(r *response) error {
		mine, err := take(r)
		if err != nil {
			return err
		}
		if copied || mine {
			return s.afterCopy(v, set, r, move, floor)
		}
		return s.mayRefuse(c, v, set, r) // no message was there any more
	}
	c.no = func(r *response) error { return s.mayRefuse(c, v, set, r) }
	c.lost = func() {
		for _, m := range set {
			s.a.lost = append(s.a.lost, lostWrite{to, v.in.copy(m.uid).id})
		}
	}
	return c
}

// copied notes what COPYUID tells (RFC 4315, 3): the UIDVALIDITY of the folder copied to, and two sets in the same order.
func (s *Session) copied(from, to *folder, set []*message, r *response) error {
	if len(r.code) != 4 {
		return fmt.Errorf("COPYUID with %d arguments", len(r.code)-1)
	}
	validity, err := number(r.code[1])
	if err != nil {
		return err
	}
	if err := to.setValidity(validity); err != nil {
		return fmt.Errorf("COPYUID: %w", err)
	}
	source, err := parseSet(r.code[2])
	if err != nil {
		return err
	}
	dest, err := parseSet(r.code[3])
	if err != nil {
		return err
	}
	if len(source) != len(dest) || len(source) > len(set) {
		return fmt.Errorf("COPYUID tells %d and %d UIDs for %d messages", len(source), len(dest), len(set))
	}
	asked := uidsOf(set)
	for i, uid := range source {
		if !slices.Contains(asked, uid) {
			return fmt.Errorf("COPYUID tells UID %d, which was not to be copied", uid)
		}
		c := from.copy(uid)
		// Who has made the original may not have heard of it yet; then nobody knows whether it carries a mark.
		if err := s.a.store(to, dest[i], c.id, c.marked || c.acked == 0); err != nil {
			return fmt.Errorf("COPYUID: %w", err)
		}
		part, ok := s.flags[from][uid]
		if slices.ContainsFunc(set, func(m *message) bool { return m.uid == uid && s.changing(m) }) {
			continue // whether the change came before or after is not judged
		}
		if ok && from.owner == to.owner {
			s.know(to, dest[i], part)
		} else if ok && from.owner == s {
			s.know(to, dest[i], part.only(keyword(s.n)))
		}
	}
	return nil
}

// afterCopy looks at what is not told of each message by itself.
func (s *Session) afterCopy(v *view, set []*message, r *response, move bool, floor uint32) error {
	if r.is("COPYUID") {
		if dest, err := parseSet(r.code[3]); err != nil || dest[0] < floor {
			return fmt.Errorf("COPYUID tells UID %d, but UIDNEXT was %d (%v)", dest[0], floor, err)
		}
	}
	if !move {
		return nil
	}
	for _, m := range set {
		if !m.gone {
			return fmt.Errorf("UID %d is moved and still there", m.uid)
		}
	}
	return nil
}

// append stores one letter, or several at once (RFC 3502), with literals that wait or do not (RFC 7888).
func (s *Session) append(alone bool) *command {
	to := s.anyFolder()
	sync := alone && s.rng.IntN(2) == 0 || !s.has("LITERAL+")
	if sync && !alone {
		return nil
	}
	n := 1
	if s.has("MULTIAPPEND") && s.rng.IntN(4) == 0 {
		n += 1 + s.rng.IntN(2)
	}
	c := plain("APPEND", quote(to.name))
	ids, with := make([]letter, n), make([]flags, n)
	for i := range ids {
		s.made++
		ids[i], with[i] = letter(fmt.Sprintf("%s-s%d-%d", s.a.user, s.n, s.made)), s.someFlags()
		c.parts = append(c.parts, " ("+string(with[i])+") "+quote(ids[i].date().Format(dateLayout))+" ", literal{ids[i].body(), sync})
	}
	floor := uint32(0)
	c.send = func() { floor = to.next }
	c.ok = func(r *response) error {
		uids, err := s.appended(to, r, n, floor)
		if err != nil {
			return err
		}
		for i, uid := range uids {
			if err := s.a.store(to, uid, ids[i], false); err != nil {
				return err
			}
			s.know(to, uid, s.part(to, with[i]))
		}
		return nil
	}
	c.lost = func() {
		for _, id := range ids {
			s.a.lost = append(s.a.lost, lostWrite{to, id})
		}
	}
	return c
}

// appended reads APPENDUID (RFC 4315, 3).
func (s *Session) appended(to *folder, r *response, n int, floor uint32) ([]uint32, error) {
	if !r.is("APPENDUID") || len(r.code) != 3 {
		return nil, fmt.Errorf("APPEND is answered without APPENDUID")
	}
	validity, err := number(r.code[1])
	if err != nil {
		return nil, err
	}
	if err := to.setValidity(validity); err != nil {
		return nil, fmt.Errorf("APPENDUID: %w", err)
	}
	uids, err := parseSet(r.code[2])
	if err != nil {
		return nil, err
	}
	if len(uids) != n || uids[0] < floor {
		return nil, fmt.Errorf("APPENDUID tells %v for %d messages, and UIDNEXT was %d", uids, n, floor)
	}
	return uids, nil
}

// anyFolder chooses a folder to write to.
func (s *Session) anyFolder() *folder {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	all := s.a.pickable(s)
	return all[s.rng.IntN(len(all))]
}

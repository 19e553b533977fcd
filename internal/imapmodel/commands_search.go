package imapmodel

import (
	"fmt"
	"slices"
	"strings"
)

// search looks for messages in the ways whose answer is known: all, those with this session's keyword, a range of UIDs, the
// saved result. The answer comes as SEARCH or, with RETURN, as ESEARCH, and may be saved.
func (s *Session) search(byUID bool) *command {
	v := s.view
	key, hit := s.criterion(byUID)
	if key == "" {
		return nil
	}
	want := map[*message]bool{} // for certain
	name := "SEARCH"
	if byUID {
		name = "UID SEARCH"
	}
	returns := s.returns()
	c := plain(name, strings.TrimSpace(returns+" "+key))
	c.serial = !byUID
	var found []uint32
	answered := false
	c.data = func(r *response) (bool, error) {
		switch {
		case r.name == "SEARCH" && returns == "":
			answered = true
			for _, arg := range r.args {
				if arg.list == nil {
					found = append(found, uint32(uintOf(arg)))
				}
			}
			return true, nil
		case r.name == "ESEARCH" && returns != "" && esearchTag(r) == c.tag:
			answered = true
			var err error
			found, err = s.esearch(r, byUID)
			return true, err
		}
		return false, nil
	}
	saving := strings.Contains(returns, "SAVE")
	if saving {
		v.saved = nil // from here on $ stands for what is not known yet
	}
	c.send = func() {
		for _, m := range v.msgs {
			want[m] = hit(m) && !s.changing(m) && (m.uid != 0 || !byUID)
		}
	}
	c.ok = func(*response) error {
		if !answered {
			return fmt.Errorf("%s is not answered", name)
		}
		set, err := s.found(v, byUID, found)
		if err != nil {
			return err
		}
		for m, must := range want {
			if must && !m.gone && !slices.Contains(set, m) && !v.doomed(m) {
				return fmt.Errorf("%s %s does not find UID %d", name, key, m.uid)
			}
		}
		whole := len(set) == len(found) && !slices.ContainsFunc(set, func(m *message) bool { return m.uid == 0 })
		if saving && whole { // else $ stands for messages that are not told yet
			v.saved = set
		}
		return nil
	}
	c.no = func(r *response) error { return s.mayRefuse(c, v, v.msgs, r) }
	return c
}

// criterion chooses what to look for; hit tells of a message whether it must be found.
func (s *Session) criterion(byUID bool) (key string, hit func(*message) bool) {
	v := s.view
	switch s.rng.IntN(4) {
	case 0:
		return "ALL", func(m *message) bool { return true }
	case 1:
		return "KEYWORD " + keyword(s.n), func(m *message) bool { return s.flags[v.in][m.uid].has(keyword(s.n)) }
	case 2:
		set, text := s.pick(true, 20, true)
		if set == nil || text == "$" {
			return "", nil
		}
		return "UID " + text, func(m *message) bool { return slices.Contains(set, m) }
	}
	if len(v.saved) == 0 {
		return "", nil
	}
	saved := v.saved
	return "$ UNDELETED", func(m *message) bool { return slices.Contains(saved, m) && m.uid != 0 }
}

// returns chooses the result options.
func (s *Session) returns() string {
	switch {
	case !s.has("ESEARCH") || s.rng.IntN(3) == 0:
		return ""
	case s.has("SEARCHRES") && s.rng.IntN(2) == 0:
		return "RETURN (SAVE ALL COUNT)"
	}
	return []string{"RETURN (ALL)", "RETURN ()", "RETURN (MIN MAX COUNT ALL)"}[s.rng.IntN(3)]
}

func esearchTag(r *response) string {
	if len(r.args) > 0 && len(r.args[0].list) == 2 {
		return r.args[0].list[1].text
	}
	return ""
}

// esearch reads an ESEARCH response (RFC 4731) and demands that its parts go together.
func (s *Session) esearch(r *response, byUID bool) (found []uint32, err error) {
	args := r.args[1:]
	if len(args) > 0 && args[0].text == "UID" {
		if args = args[1:]; !byUID {
			return nil, fmt.Errorf("ESEARCH tells UIDs in answer to SEARCH")
		}
	} else if byUID {
		return nil, fmt.Errorf("ESEARCH tells no UIDs in answer to UID SEARCH")
	}
	told := map[string]string{}
	for ; len(args) >= 2; args = args[2:] {
		told[args[0].text] = args[1].text
	}
	if all, ok := told["ALL"]; ok {
		if found, err = parseSet(all); err != nil {
			return nil, err
		}
	}
	if n, ok := told["COUNT"]; ok && n != fmt.Sprint(len(found)) {
		return nil, fmt.Errorf("ESEARCH counts %s and lists %d", n, len(found))
	}
	if n, ok := told["MIN"]; ok && n != fmt.Sprint(slices.Min(found)) {
		return nil, fmt.Errorf("ESEARCH tells MIN %s of %v", n, found)
	}
	if n, ok := told["MAX"]; ok && n != fmt.Sprint(slices.Max(found)) {
		return nil, fmt.Errorf("ESEARCH tells MAX %s of %v", n, found)
	}
	return found, nil
}

// found returns the messages that a search has told. UIDs that the session has not been told yet are left out.
func (s *Session) found(v *view, byUID bool, numbers []uint32) (set []*message, err error) {
	for _, n := range numbers {
		if byUID {
			if m := v.byUID(n); m != nil {
				set = append(set, m)
			} else if c := v.in.copies[n]; c != nil && c.gone != 0 && c.gone <= v.stamp {
				return nil, fmt.Errorf("SEARCH finds UID %d of %s, which is expunged", n, v.in.name)
			}
			continue
		}
		m, err := v.at(n)
		if err != nil {
			return nil, fmt.Errorf("SEARCH finds: %w", err)
		}
		set = append(set, m)
	}
	return set, nil
}

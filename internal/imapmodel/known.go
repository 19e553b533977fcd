package imapmodel

import "fmt"

// part is the part of a message's flags that nobody but this session changes: all of them in a folder of its own, else its
// keyword.
func (s *Session) part(f *folder, all flags) flags {
	if f.owner == s {
		return all
	}
	return all.only(keyword(s.n))
}

// compare demands that flags just told are as this session has left them. What is told first is the truth from then on,
// since nobody else can change it.
func (s *Session) compare(f *folder, m *message) error {
	if s.changing(m) {
		return nil
	}
	told := s.part(f, m.flags)
	if want, ok := s.flags[f][m.uid]; ok && want != told {
		return fmt.Errorf("UID %d of %s has flags (%s), of which this session has left (%s)", m.uid, f.name, m.flags, want)
	}
	s.know(f, m.uid, told)
	return nil
}

func (s *Session) know(f *folder, uid uint32, part flags) {
	if s.flags[f] == nil {
		s.flags[f] = map[uint32]flags{}
	}
	s.flags[f][uid] = part
}

func (s *Session) forget(f *folder, uid uint32) { delete(s.flags[f], uid) }

// changing reports whether a command in flight may change the message's flags.
func (s *Session) changing(m *message) bool { return s.busy[m] > 0 }

// begin notes that a command may change the flags of messages, until end is called, and how often they were told.
func (s *Session) begin(set []*message) (told map[*message]int, end func()) {
	told = map[*message]int{}
	for _, m := range set {
		s.busy[m]++
		told[m] = m.told
	}
	return told, func() {
		for _, m := range set {
			if s.busy[m]--; s.busy[m] <= 0 {
				delete(s.busy, m)
			}
		}
	}
}

// changed applies a change that the server has just acknowledged. Flags that were told since the answer to the command
// before are told by this one; older ones are from before the change.
func (s *Session) changed(f *folder, m *message, op string, change flags, told map[*message]int) error {
	if was, ok := s.flags[f][m.uid]; ok || op == "FLAGS" {
		s.know(f, m.uid, s.part(f, was.apply(op, change)))
	}
	if m.told > told[m] && m.toldIn == s.answers {
		return s.compare(f, m)
	}
	if m.known {
		m.flags = m.flags.apply(op, change)
	}
	return nil
}

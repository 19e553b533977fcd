package imapmodel

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// cache is what an extended client keeps of a folder that it has closed (RFC 7162, 3.2.5): all that it was told up to modseq,
// and maybe later changes.
type cache struct {
	validity uint32
	modseq   uint64
	flags    map[uint32]flags
}

// remember keeps what was told of a folder, if it was told of all messages.
func (s *Session) remember(v *view) {
	if v == nil || !s.qresync || v.modseq == 0 {
		return
	}
	c := &cache{validity: v.validity, modseq: v.modseq, flags: map[uint32]flags{}}
	for _, m := range v.msgs {
		if m.uid == 0 || !m.known {
			delete(s.caches, v.in)
			return
		}
		c.flags[m.uid] = m.flags
	}
	s.caches[v.in] = c
}

// earlier takes VANISHED (EARLIER), which may name UIDs that the client has never seen.
func (s *Session) earlier(uids []uint32) error {
	v := s.opening()
	if v == nil || v.since == nil {
		return fmt.Errorf("VANISHED (EARLIER), and no client has asked for it")
	}
	for _, uid := range uids {
		if _, ok := v.since.flags[uid]; !ok {
			continue
		}
		delete(v.since.flags, uid)
		if err := s.a.remove(v.in, uid); err != nil {
			return err
		}
	}
	return nil
}

// resynced demands that the cache with what was told makes up the folder: without that the client would show mail that is
// gone, or flags of old. The messages that were told have their UIDs in the view by now.
func (s *Session) resynced(v *view) error {
	c := v.since
	if c == nil {
		return nil
	}
	for _, m := range v.msgs {
		if m.uid != 0 {
			c.flags[m.uid] = m.flags
		}
	}
	if len(c.flags) != len(v.msgs) {
		return fmt.Errorf("%s has %d messages, but by the resynchronisation %d: %s", v.in.name, len(v.msgs), len(c.flags),
			formatSet(slices.Collect(maps.Keys(c.flags))))
	}
	uids := slices.SortedFunc(maps.Keys(c.flags), cmp.Compare)
	for i, m := range v.msgs {
		if m.uid != 0 && m.uid != uids[i] {
			return fmt.Errorf("message %d has UID %d, but by the resynchronisation %d", i+1, m.uid, uids[i])
		}
		if m.uid != 0 {
			continue
		}
		if err := v.setUID(uint32(i)+1, uids[i]); err != nil {
			return err
		}
		m.flags, m.known = c.flags[m.uid], true
		if err := s.compare(v.in, m); err != nil {
			return err
		}
	}
	v.since = nil
	return v.complete()
}

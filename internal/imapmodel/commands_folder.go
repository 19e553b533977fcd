package imapmodel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// open selects a folder, now and then without the right to change it. An extended client that has a cache of the folder
// asks for what has changed since (RFC 7162, 3.2.5).
func (s *Session) open() *command {
	to := s.anyFolder()
	name := "SELECT"
	if s.rng.IntN(5) == 0 {
		name = "EXAMINE"
	}
	rest := quote(to.name)
	cached := s.caches[to]
	switch {
	case s.qresync && cached != nil && s.rng.IntN(4) > 0:
		rest += fmt.Sprintf(" (QRESYNC (%d %d))", cached.validity, cached.modseq)
	case s.has("CONDSTORE") && s.rng.IntN(6) == 0:
		rest += " (CONDSTORE)"
		cached = nil
	default:
		cached = nil
	}
	c := s.openAs(name, to)
	c.parts = []any{name + " " + rest}
	c.opening.since = cached
	c.opening.enables = strings.HasSuffix(rest, ")")
	return c
}

// openAs opens a folder without parameters.
func (s *Session) openAs(name string, f *folder) *command {
	c := plain(name, quote(f.name))
	v := &view{in: f, readOnly: name == "EXAMINE"}
	c.opening = v
	c.send = func() {
		v.floors, v.stamp = v.in.floors(), c.stamp
		s.remember(s.view)
		if !s.qresync && s.view != nil { // with it, [CLOSED] tells where the view before ends
			before := *s.view
			before.msgs = slices.Clone(before.msgs)
			v.before, s.view = &before, nil
		}
		s.condstore = s.condstore || v.enables
	}
	c.ok = func(r *response) error {
		s.view, v.before = v, nil
		if v.readOnly != r.is("READ-ONLY") || v.readOnly == r.is("READ-WRITE") {
			return fmt.Errorf("%s ends with %v", c.name, r.code)
		}
		if err := v.ready(s.condstore); err != nil {
			return err
		}
		return s.resynced(v)
	}
	return c
}

// ownFolder makes, renames, deletes a folder of this session, or changes whether it is subscribed to.
func (s *Session) ownFolder() []*command {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	var own []*folder
	for _, name := range slices.Sorted(maps.Keys(s.a.folders)) {
		if f := s.a.folders[name]; f.owner == s && !f.unsure && (s.view == nil || s.view.in != f) {
			own = append(own, f)
		}
	}
	if len(own) == 0 || len(own) < 2 && s.rng.IntN(2) == 0 {
		return []*command{s.create()}
	}
	f := own[s.rng.IntN(len(own))]
	switch s.rng.IntN(4) {
	case 0:
		return s.remove(f)
	case 1:
		return s.rename(f)
	}
	return []*command{s.subscribe(f, s.rng.IntN(3) > 0)}
}

func (s *Session) newName() string {
	s.made++
	return fmt.Sprintf("Own %d-%d", s.n, s.made)
}

func (s *Session) create() *command {
	name := s.newName()
	c := plain("CREATE", quote(name))
	c.ok = func(*response) error {
		s.a.newFolder(name, s)
		return nil
	}
	c.lost = func() { s.a.newFolder(name, s).unsure = true }
	return c
}

// rename leaves alone what is subscribed to: some servers carry the subscription along, others leave it behind.
func (s *Session) rename(f *folder) []*command {
	name := s.newName()
	c := plain("RENAME", quote(f.name)+" "+quote(name))
	c.ok = func(*response) error {
		delete(s.a.folders, f.name)
		f.name = name
		s.a.folders[name] = f
		return nil
	}
	c.lost = func() { f.unsure = true; s.a.newFolder(name, s).unsure = true }
	return []*command{s.subscribe(f, false), c}
}

func (s *Session) remove(f *folder) []*command {
	c := plain("DELETE", quote(f.name))
	c.ok = func(*response) error {
		delete(s.a.folders, f.name)
		return nil
	}
	c.lost = func() { f.unsure = true }
	return []*command{s.subscribe(f, false), c}
}

func (s *Session) subscribe(f *folder, on bool) *command {
	name := "UNSUBSCRIBE"
	if on {
		name = "SUBSCRIBE"
	}
	c := plain(name, quote(f.name))
	c.ok = func(*response) error { f.subscribed = on; return nil }
	c.lost = func() { f.unsure = true }
	return c
}

// listAll lists all folders, or those subscribed to. Of shared folders and of this session's own it is known whether they
// must be there.
func (s *Session) listAll() *command {
	name, pattern := "LIST", `"" "*"`
	if s.rng.IntN(3) == 0 {
		name = "LSUB"
	}
	withStatus := name == "LIST" && s.has("LIST-STATUS") && s.has("LIST-EXTENDED") && s.rng.IntN(3) == 0
	if withStatus {
		pattern += " RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY))"
	}
	c := plain(name, pattern)
	listed := map[string]int{}
	floors := map[string]floors{}
	c.send = func() {
		for n, f := range s.a.folders {
			floors[n] = f.floors()
		}
	}
	c.data = func(r *response) (bool, error) {
		switch {
		case r.name == name && len(r.args) == 3:
			listed[r.args[2].text]++
			return true, nil
		case r.name == "STATUS" && withStatus && len(r.args) == 2:
			f := s.a.folders[r.args[0].text]
			if f == nil || f.unsure || f.owner != nil && f.owner != s || s.view != nil && s.view.in == f {
				return true, nil
			}
			return true, s.statusOf(f, r.args[1].list, c.stamp, floors[f.name])
		}
		return false, nil
	}
	c.ok = func(*response) error { return s.listedRight(name, listed) }
	return c
}

// listedRight demands each folder that must be there once. Dovecot's LIST goes by an index that each session refreshes now and then, and
// can miss a folder that was made a moment ago while other sessions made others, so only the second LIST in a row that misses
// one of this session's own is wrong.
func (s *Session) listedRight(name string, listed map[string]int) error {
	for n, times := range listed {
		if times > 1 {
			return fmt.Errorf("%s lists %s %d times", name, n, times)
		}
		own := strings.HasPrefix(n, fmt.Sprintf("Own %d-", s.n))
		if f := s.a.folders[n]; own && f == nil && name == "LIST" {
			return fmt.Errorf("LIST lists %s, which is deleted", n)
		}
	}
	for n, f := range s.a.folders {
		if f.unsure || f.owner != s && (f.owner != nil || name == "LSUB") {
			continue
		}
		want := 1
		if name == "LSUB" && !f.subscribed {
			want = 0
		}
		once := name == "LIST" && f.owner == s && listed[n] == 0 && !f.unlisted
		if name == "LIST" {
			f.unlisted = once
		}
		if listed[n] != want && !once {
			return fmt.Errorf("%s lists %s %d times, want %d", name, n, listed[n], want)
		}
	}
	return nil
}

// statusFor asks for the numbers of a folder that is not open.
func (s *Session) statusFor() *command {
	f := s.anyFolder()
	if s.view != nil && s.view.in == f {
		return nil
	}
	items := "MESSAGES UIDNEXT UIDVALIDITY UNSEEN"
	if s.condstore {
		items += " HIGHESTMODSEQ"
	}
	c := plain("STATUS", quote(f.name)+" ("+items+")")
	var at floors
	answered := false
	c.send = func() { at = f.floors() }
	c.data = func(r *response) (bool, error) {
		if r.name != "STATUS" || len(r.args) != 2 || r.args[0].text != f.name {
			return false, nil
		}
		answered = true
		return true, s.statusOf(f, r.args[1].list, c.stamp, at)
	}
	c.ok = func(*response) error {
		if !answered {
			return fmt.Errorf("STATUS is not answered")
		}
		return nil
	}
	return c
}

func (s *Session) statusOf(f *folder, items []value, stamp int64, at floors) error {
	for ; len(items) >= 2; items = items[2:] {
		n := uintOf(items[1])
		var err error
		switch items[0].text {
		case "UIDNEXT":
			err = f.setNext(uint32(n), at)
		case "UIDVALIDITY":
			err = f.setValidity(uint32(n))
		case "HIGHESTMODSEQ":
			err = f.setModseq(n, at)
		case "MESSAGES":
			if least := len(f.certain(stamp)); int(n) < least {
				err = fmt.Errorf("STATUS counts %d messages in %s, but %d are stored for certain", n, f.name, least)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

package imapmodel

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
)

// Verify reads the account by itself, when nobody else does anything, and returns what differs from what is known: mail
// that is lost, doubled or there again, and flags other than those that sessions were told last or have left. exact is
// whether this reader must find the UIDVALIDITY and HIGHESTMODSEQ that the sessions were told.
func (a *Account) Verify(ctx context.Context, dial func(context.Context) (net.Conn, error), exact bool) []string {
	s := newSession(a, &Load{Dial: dial}, 0, &Outcome{})
	defer s.close()
	for _, f := range a.folders {
		if !exact {
			f.validity, f.modseq = 0, 0
		}
	}
	found, err := s.readAll(ctx)
	if err != nil {
		return []string{fmt.Sprintf("%s: read: %v\n%s", a.user, err, s.trace)}
	}
	var all []string
	for _, f := range slices.SortedFunc(maps.Keys(found), func(x, y *folder) int { return strings.Compare(x.name, y.name) }) {
		all = append(all, a.differences(f, found[f])...)
	}
	for _, last := range a.finals {
		all = append(all, last.differences(found[last.in])...)
	}
	for i, text := range all {
		all[i] = a.user + ": " + text
	}
	return all
}

// readAll reads all folders that are known; what sessions must find listed they have looked at themselves.
func (s *Session) readAll(ctx context.Context) (map[*folder]*view, error) {
	if err := s.dial(ctx); err != nil {
		return nil, err
	}
	if err := s.login(); err != nil {
		return nil, err
	}
	found := map[*folder]*view{}
	for _, name := range slices.Sorted(maps.Keys(s.a.folders)) {
		f := s.a.folders[name]
		if f.unsure {
			continue
		}
		if err := s.do(s.openAs("EXAMINE", f)); err != nil {
			return nil, err
		}
		v := s.view
		found[f] = v
		want := []string{"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY[]"}
		ask := []string{"UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"}
		for !v.mapped() { // again, should a message come meanwhile
			if err := s.do(s.fetchOf(false, v.msgs, "1:*", ask, want, false)); err != nil {
				return nil, err
			}
		}
	}
	s.leaving = true
	return found, s.do(plain("LOGOUT", ""))
}

// differences compares a folder with the ledger.
func (a *Account) differences(f *folder, v *view) (all []string) {
	add := func(format string, args ...any) { all = append(all, f.name+": "+fmt.Sprintf(format, args...)) }
	there := map[uint32]bool{}
	for _, m := range v.msgs {
		there[m.uid] = true
		c := f.copies[m.uid]
		switch {
		case c.id == "":
			add("UID %d is no message of ours", m.uid)
		case c.gone != 0:
			add("UID %d (%s) is there again after it was expunged", m.uid, c.id)
		case c.acked == 0 && !a.explain(f, c.id):
			add("UID %d (%s) is there, and no session has stored it: a message is doubled", m.uid, c.id)
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(f.copies)) {
		if c := f.copies[uid]; c.acked != 0 && !c.doomed() && c.gone == 0 && !there[uid] {
			add("UID %d (%s) is lost", uid, c.id)
		}
	}
	return all
}

// explain finds a command that was not answered and may have stored the message; each may have done so once.
func (a *Account) explain(f *folder, id letter) bool {
	i := slices.IndexFunc(a.lost, func(w lostWrite) bool { return w.to == f && (w.id == id || w.id == "") })
	if i < 0 {
		return false
	}
	a.lost = slices.Delete(a.lost, i, i+1)
	return true
}

// differences compares what a session was told last with what is there.
func (last final) differences(v *view) (all []string) {
	add := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("%s of %s: %s", last.in.name, last.who, fmt.Sprintf(format, args...)))
	}
	for _, m := range v.msgs {
		f, ok := last.flags[m.uid]
		if !ok {
			add("UID %d was not told", m.uid)
		} else if f != m.flags {
			add("UID %d has flags (%s), but (%s) was told", m.uid, m.flags, f)
		}
	}
	if len(last.flags) > len(v.msgs) {
		add("%d messages were told, %d are there", len(last.flags), len(v.msgs))
	}
	return all
}

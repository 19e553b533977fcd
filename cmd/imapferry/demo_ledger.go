package main

import (
	"maps"
	"slices"
	"strings"

	"imapferry/internal/testbed"
)

// ledger is what the client knows: the account as it was before imapferry, and every write that it was told is done.
// It is the only writer, so it knows at any time what must be there.
type ledger struct {
	folders map[string]map[uint32]testbed.Message
	validity,
	highest map[string]uint32 // UIDVALIDITY, and the highest UID that was ever given
	touched map[string]map[uint32]bool
	unsure  []demoWrite // sent when the session ended, and not answered: done or not
	acked   int
}

// demoWrite leaves a message in a folder as it is here, or removes it. uid is 0 if it is not known.
type demoWrite struct {
	folder string
	uid    uint32
	gone   bool
	msg    testbed.Message
}

func newLedger(a *testbed.Account) *ledger {
	l := &ledger{
		folders:  map[string]map[uint32]testbed.Message{},
		validity: map[string]uint32{}, highest: map[string]uint32{}, touched: map[string]map[uint32]bool{},
	}
	for name, f := range a.Folders {
		l.folders[name] = map[uint32]testbed.Message{}
		maps.Copy(l.folders[name], f.Messages)
		l.validity[name], l.highest[name] = f.UIDValidity, f.UIDNext-1
		l.touched[name] = map[uint32]bool{}
	}
	return l
}

// done enters a write that was acknowledged.
func (l *ledger) done(w demoWrite) {
	l.acked++
	l.touched[w.folder][w.uid] = true
	if w.gone {
		delete(l.folders[w.folder], w.uid)
		return
	}
	l.folders[w.folder][w.uid] = w.msg
	l.highest[w.folder] = max(l.highest[w.folder], w.uid)
}

// uids returns the UIDs of a folder about which there is no doubt, sorted.
func (l *ledger) uids(folder string) []uint32 {
	all := slices.Sorted(maps.Keys(l.folders[folder]))
	return slices.DeleteFunc(all, func(uid uint32) bool { return l.isUnsure(folder, uid) })
}

func (l *ledger) isUnsure(folder string, uid uint32) bool {
	return slices.ContainsFunc(l.unsure, func(w demoWrite) bool { return w.folder == folder && w.uid == uid })
}

// hazy reports whether it is not known how many messages a folder has.
func (l *ledger) hazy(folder string) bool {
	return slices.ContainsFunc(l.unsure, func(w demoWrite) bool { return w.folder == folder && (w.uid == 0 || w.gone) })
}

// expected returns what the place that serves the user now must hold: what the source holds, with all that the client
// was told is done. Where the client was told nothing, served decides between done and not done.
func (l *ledger) expected(source, served *testbed.Account) *testbed.Account {
	want := &testbed.Account{Folders: map[string]*testbed.Folder{}, Subscribed: source.Subscribed}
	for name, f := range source.Folders {
		g := *f
		g.Messages = maps.Clone(f.Messages)
		if g.Messages == nil {
			g.Messages = map[uint32]testbed.Message{}
		}
		for uid := range l.touched[name] {
			if m, ok := l.folders[name][uid]; ok {
				g.Messages[uid] = m
			} else {
				delete(g.Messages, uid)
			}
		}
		want.Folders[name] = &g
	}
	for _, w := range l.unsure {
		if f, g := want.Folders[w.folder], served.Folders[w.folder]; f != nil && g != nil {
			w.settle(f.Messages, g.Messages)
		}
	}
	return want
}

// settle takes over an unanswered write that was done after all, and nothing else.
func (w demoWrite) settle(want, served map[uint32]testbed.Message) {
	if w.uid != 0 {
		m, there := served[w.uid]
		switch {
		case w.gone && !there:
			delete(want, w.uid)
		case !w.gone && there && m.Flags == w.msg.Flags:
			want[w.uid] = w.msg
		}
		return
	}
	for uid, m := range served {
		if _, known := want[uid]; !known && m.Sum == w.msg.Sum {
			want[uid] = w.msg
			return
		}
	}
}

// foldFlags gives flags the one spelling and order by which they can be compared: they have no case (RFC 9051, 2.3.2).
func foldFlags(a *testbed.Account) {
	for _, f := range a.Folders {
		for uid, m := range f.Messages {
			m.Flags = folded(strings.Fields(m.Flags))
			f.Messages[uid] = m
		}
	}
}

func folded[F ~string](flags []F) string {
	var words []string
	for _, f := range flags {
		if s := strings.ToLower(string(f)); s != `\recent` {
			words = append(words, s)
		}
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

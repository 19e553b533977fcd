package imapmodel

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Account is one user's mail as all sessions of the user together know it.
type Account struct {
	user, pass string

	mu      sync.Mutex
	clock   int64              // counts events, so that "before" can be told
	folders map[string]*folder // by name; those that exist
	lost    []lostWrite
	finals  []final
}

// folder is one folder from its creation to its deletion, whatever its name.
type folder struct {
	name     string
	owner    *Session // nil: shared
	validity uint32   // 0: not told yet
	next     uint32   // UIDNEXT is not lower
	modseq   uint64   // HIGHESTMODSEQ is not lower
	copies   map[uint32]*messageCopy

	subscribed bool
	unlisted   bool // the last LIST of its owner did not have it
	unsure     bool // a session ended while it made, renamed, subscribed or deleted it: nothing is known of it any more
}

// messageCopy is one message in one folder. The stamps are of Account.clock, 0 for never.
type messageCopy struct {
	id     letter // empty: not known yet
	acked  int64  // its UID was acknowledged to who made it
	gone   int64  // a session was told that it is expunged
	marked bool   // somebody has sent the mark for deletion, by which anybody's EXPUNGE goes; copies may carry it
	moved  bool   // somebody has asked to move it
}

// doomed reports whether somebody has asked for the removal of a copy.
func (c *messageCopy) doomed() bool { return c.marked || c.moved }

// lostWrite is a message that may have been stored, since the session ended before the answer.
type lostWrite struct {
	to *folder
	id letter // empty: not known
}

// final is what a session was told of a folder when all had gone quiet.
type final struct {
	who   string
	in    *folder
	flags map[uint32]flags
}

// tick counts an event and returns its stamp. The caller holds mu.
func (a *Account) tick() int64 {
	a.clock++
	return a.clock
}

func (a *Account) newFolder(name string, owner *Session) *folder {
	f := &folder{name: name, owner: owner, copies: map[uint32]*messageCopy{}}
	a.folders[name] = f
	return f
}

// pickable lists the folders that a session may open or write to, in a fixed order. The caller holds mu.
func (a *Account) pickable(s *Session) []*folder {
	var all []*folder
	for _, name := range slices.Sorted(maps.Keys(a.folders)) {
		if f := a.folders[name]; !f.unsure && (f.owner == nil || f.owner == s) {
			all = append(all, f)
		}
	}
	return all
}

// copy returns the copy with uid, made if need be.
func (f *folder) copy(uid uint32) *messageCopy {
	c := f.copies[uid]
	if c == nil {
		c = &messageCopy{}
		f.copies[uid] = c
	}
	return c
}

// store notes that the server has acknowledged a copy. The caller holds mu.
func (a *Account) store(f *folder, uid uint32, id letter, marked bool) error {
	c := f.copy(uid)
	if c.acked != 0 {
		return fmt.Errorf("UID %d of %s is given to %s, but %s has it", uid, f.name, id, c.id)
	}
	c.acked, c.marked = a.tick(), c.marked || marked
	f.next = max(f.next, uid+1)
	if c.gone != 0 && !c.doomed() {
		return fmt.Errorf("UID %d of %s was expunged and nobody had asked for it", uid, f.name)
	}
	return c.name(f, uid, id)
}

// name notes which message a copy is of, or demands that it is that one.
func (c *messageCopy) name(f *folder, uid uint32, id letter) error {
	if c.id == "" {
		c.id = id
	}
	if id != "" && c.id != id {
		return fmt.Errorf("UID %d of %s is message %s, but was %s", uid, f.name, id, c.id)
	}
	return nil
}

// remove notes that a session was told that a copy is gone. The caller holds mu.
func (a *Account) remove(f *folder, uid uint32) error {
	c := f.copy(uid)
	if c.gone == 0 {
		c.gone = a.tick()
	}
	if c.acked != 0 && !c.doomed() {
		return fmt.Errorf("UID %d of %s is expunged and nobody has asked for it", uid, f.name)
	}
	return nil
}

// certain returns the UIDs that must be there for a command that was sent at stamp: acknowledged before, and nobody has
// asked for their removal even now.
func (f *folder) certain(stamp int64) map[uint32]bool {
	all := map[uint32]bool{}
	for uid, c := range f.copies {
		if c.acked != 0 && c.acked <= stamp && !c.doomed() && c.gone == 0 {
			all[uid] = true
		}
	}
	return all
}

// setValidity notes the UIDVALIDITY, or demands that it is the same.
func (f *folder) setValidity(n uint32) error {
	if f.validity == 0 {
		f.validity = n
	}
	if n != f.validity {
		return fmt.Errorf("UIDVALIDITY of %s is %d, was %d", f.name, n, f.validity)
	}
	return nil
}

// floors are the values below which a folder may not fall in the answer to a command that is sent now.
type floors struct {
	next   uint32
	modseq uint64
}

func (f *folder) floors() floors { return floors{f.next, f.modseq} }

// setNext notes a UIDNEXT in the answer to a command that was sent when the floors were those.
func (f *folder) setNext(n uint32, at floors) error {
	if n < at.next {
		return fmt.Errorf("UIDNEXT of %s is %d, was %d", f.name, n, at.next)
	}
	f.next = max(f.next, n)
	return nil
}

func (f *folder) setModseq(n uint64, at floors) error {
	if n < at.modseq {
		return fmt.Errorf("HIGHESTMODSEQ of %s is %d, was %d", f.name, n, at.modseq)
	}
	f.modseq = max(f.modseq, n)
	return nil
}

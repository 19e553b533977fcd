package proxy

import (
	"maps"
	"sync"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// touchMemory is for how long a change is told of. Whatever a source consists of, it shows everywhere by then what it
// has told one client.
const touchMemory = 10 * time.Minute

// touches remembers which folders of the source the sessions of this node have changed of late, and which UIDs their
// clients were told are stored, beyond the end of the sessions. The acknowledgement of a hold carries it to the
// worker.
//
// Two generations of users, of which the older is dropped every touchMemory, keep it as small as the number of users
// who were active of late, without a look at each of them. Limit: what a node has promised dies with it.
type touches struct {
	mu             sync.Mutex
	recent, before map[string]touched // guarded by mu; by user
	turned         time.Time          // guarded by mu; when recent was begun
}

// touched is the folders of one user, by canonical name; "" stands for those that are not kept apart.
type touched map[string]touch

type touch struct {
	at               time.Time // of the last change
	gone             bool
	uidValidity, uid uint32 // the highest promise; uid is 0 if there is none
}

func newTouches() *touches {
	return &touches{recent: map[string]touched{}, before: map[string]touched{}, turned: time.Now()}
}

// by returns what a session of user notes its changes with.
func (ts *touches) by(user string) func(change func(touched)) {
	return func(change func(touched)) {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		t := ts.recent[user]
		if t == nil {
			if t = ts.before[user]; t == nil {
				t = touched{}
			}
			delete(ts.before, user)
			ts.recent[user] = t
		}
		change(t)
	}
}

// list returns what the worker of user is told.
func (ts *touches) list(user string) (list []state.Touched) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, folders := range []touched{ts.recent[user], ts.before[user]} {
		for name, t := range folders {
			if age := time.Since(t.at); age <= touchMemory {
				list = append(list, state.Touched{Folder: name, Age: age, Gone: t.gone, UIDValidity: t.uidValidity, UID: t.uid})
			}
		}
	}
	return list
}

// forget drops what is known of user, whom the source serves no more.
func (ts *touches) forget(user string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.recent, user)
	delete(ts.before, user)
}

// turn drops users without a change for longer than touchMemory. It is called now and then.
func (ts *touches) turn() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if time.Since(ts.turned) > touchMemory {
		ts.recent, ts.before, ts.turned = map[string]touched{}, ts.recent, time.Now()
	}
}

// key returns the name under which folder is kept: its own, unless there are too many.
func (t touched) key(folder string) string {
	folder = wire.CanonicalName(folder)
	if _, ok := t[folder]; ok || len(folder) <= state.MaxFolder && t.room() {
		return folder
	}
	return ""
}

// room reports whether one more folder can be kept apart, beside "".
func (t touched) room() bool {
	if len(t) < state.MaxTouched-1 {
		return true
	}
	for name, old := range t {
		if time.Since(old.at) > touchMemory {
			delete(t, name)
		}
	}
	return len(t) < state.MaxTouched-1
}

// change notes that folder may have changed.
func (t touched) change(folder string) {
	k := t.key(folder)
	was := t[k]
	t[k] = touch{at: time.Now(), uidValidity: was.uidValidity, uid: was.uid}
}

// promise notes that a client was told that uid is stored in folder. Of two folders that follow each other under one
// name the later one has the greater UIDVALIDITY (RFC 9051, 2.3.1.1), whichever answer came first.
func (t touched) promise(folder string, uidValidity, uid uint32) {
	k := t.key(folder)
	switch was := t[k]; {
	case was.uidValidity > uidValidity:
		uidValidity, uid = was.uidValidity, was.uid
	case was.uidValidity == uidValidity:
		uid = max(uid, was.uid)
	}
	t[k] = touch{at: time.Now(), uidValidity: uidValidity, uid: uid}
}

// remove notes that folder was deleted, with all that was promised of it.
func (t touched) remove(folder string) {
	if k := t.key(folder); k != "" {
		t[k] = touch{at: time.Now(), gone: true}
	}
}

// rename notes that folder from, with all below it, has become to. What was promised goes along, but for INBOX, which
// stays where it is and gives its messages away (RFC 9051, 6.3.6).
func (t touched) rename(from, to string) {
	before := maps.Clone(t)
	t.remove(to) // what was known under this name was gone before
	t.change(to)
	if from = wire.CanonicalName(from); from == wire.Inbox {
		t.change(from)
		return
	}
	for name, was := range before {
		rest, ok := within(name, from)
		if !ok {
			continue
		}
		t.remove(name)
		if was.uid != 0 {
			t.promise(to+rest, was.uidValidity, was.uid)
		}
	}
	t.remove(from)
}

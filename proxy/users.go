package proxy

import "sync"

// users knows the sessions of this node by user, so that a hold reaches all of them. A session takes its seat before
// the user's record is read: a cutover that begins later finds it here, one that began earlier is seen in the record.
type users struct {
	mu     sync.Mutex
	byName map[string]*user // guarded by mu; users with a seat or a hold
	lost   doubt            // guarded by mu: while there is any, nothing goes to the source
	closed bool             // guarded by mu: the server goes down
}

// user is guarded by users.mu.
type user struct {
	name    string
	seats   map[*seat]bool
	holds   int           // attempts under way; one may begin before this node has read that the one before is over
	turn    int           // how many holds there were: who read the record in an earlier turn must read it again
	changed chan struct{} // closed when the record may have changed
}

// doubt is why all users are held at once; there may be several reasons.
type doubt uint8

const (
	ofLife  doubt = 1 << iota // this node may count as dead
	ofStore                   // the store may have lost switches
)

// maxSpoilt is how many cutovers one session may spoil before it is ended.
const maxSpoilt = 3

func newUsers() *users { return &users{byName: map[string]*user{}} }

// user returns the entry of name, made if need be. mu is held.
func (us *users) user(name string) *user {
	u := us.byName[name]
	if u == nil {
		u = &user{name: name, seats: map[*seat]bool{}, changed: make(chan struct{})}
		us.byName[name] = u
	}
	return u
}

// forget drops an entry nobody needs. mu is held.
func (us *users) forget(u *user) {
	if len(u.seats) == 0 && u.holds == 0 {
		delete(us.byName, u.name)
	}
}

// enter takes a seat for a session of the user name.
func (us *users) enter(name string) *seat {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.user(name)
	st := &seat{all: us, u: u}
	u.seats[st] = true
	return st
}

// count returns how many seats are taken under name.
func (us *users) count(name string) int {
	us.mu.Lock()
	defer us.mu.Unlock()
	if u := us.byName[name]; u != nil {
		return len(u.seats)
	}
	return 0
}

// notify wakes whoever waits for a change of the user name.
func (us *users) notify(name string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	if u := us.byName[name]; u != nil {
		u.wake()
	}
}

func (u *user) wake() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// hold holds the user's sessions on the source. The channels close when the sessions are quiet; sessions that are
// still on their way in will not attach.
func (us *users) hold(name string) (quiet []<-chan struct{}, changed func() <-chan struct{}) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.user(name)
	u.holds++
	u.turn++
	for st := range u.seats {
		if st.hold() {
			quiet = append(quiet, st.quiet)
		}
	}
	return quiet, func() <-chan struct{} {
		us.mu.Lock()
		defer us.mu.Unlock()
		return u.changed
	}
}

// release ends the hold of the user name and lets its sessions go on. spoilt says that sessions that did not come to rest have spoilt
// the cutover. Those that spoilt too many are ended; their number is returned.
func (us *users) release(name string, spoilt bool) (ended int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byName[name]
	if u == nil || u.holds == 0 {
		return 0
	}
	if u.holds--; u.holds > 0 {
		return 0
	}
	for st := range u.seats {
		if st.relay == nil || !st.onSource || st.ended {
			continue
		}
		if spoilt && !isClosed(st.quiet) {
			st.spoilt++
		}
		if st.spoilt >= maxSpoilt {
			st.relay.end(restless)
			st.ended = true
			ended++
		} else if us.lost == 0 {
			st.relay.resume()
		}
	}
	u.wake()
	us.forget(u)
	return ended
}

// move sends the user's sessions on the source to the target. told has room for an answer of each; how many will come is returned.
func (us *users) move(name string, user switchInfo) (told chan string, sessions int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byName[name]
	if u == nil {
		return nil, 0
	}
	u.turn++
	told = make(chan string, len(u.seats))
	for st := range u.seats {
		if st.relay != nil && st.onSource && !st.ended {
			st.onSource = false
			st.relay.move(user, func(reason string) { told <- reason })
			sessions++
		}
	}
	return told, sessions
}

// close ends all sessions, and those that attach later.
func (us *users) close(text string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.closed = true
	us.each(func(r *relay) { r.end(text) })
}

// cut ends all sessions without a word.
func (us *users) cut() {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.each((*relay).cut)
}

func (us *users) each(do func(*relay)) {
	for _, u := range us.byName {
		for st := range u.seats {
			if st.relay != nil {
				do(st.relay)
			}
		}
	}
}

// dismiss ends the hold of the user name and all its sessions on the source, and returns how many there were.
func (us *users) dismiss(name, text string) (ended int) {
	ended = us.end(name, text)
	us.release(name, false)
	return ended
}

// end ends the user's sessions on the source and returns how many there were.
func (us *users) end(name, text string) (ended int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byName[name]
	if u == nil {
		return 0
	}
	u.turn++
	for st := range u.seats {
		if st.relay != nil && st.onSource && !st.ended {
			st.relay.end(text)
			st.ended = true
			ended++
		}
	}
	return ended
}

// lose holds every session on the source, and every login that would go there. The channels close when the sessions are quiet.
func (us *users) lose(why doubt) (quiet []<-chan struct{}) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.lost |= why
	for _, u := range us.byName {
		u.turn++
		for st := range u.seats {
			if st.hold() {
				quiet = append(quiet, st.quiet)
			}
		}
	}
	return quiet
}

// onSource returns the users that have sessions on the source.
func (us *users) onSource() (names []string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	for name, u := range us.byName {
		for st := range u.seats {
			if st.relay != nil && st.onSource && !st.ended {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// sessionsOnSource returns how many sessions of the user name stand on the source.
func (us *users) sessionsOnSource(name string) (n int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	if u := us.byName[name]; u != nil {
		for st := range u.seats {
			if st.relay != nil && st.onSource && !st.ended {
				n++
			}
		}
	}
	return n
}

// regain ends what lose began: sessions go on, except those of users held on their own account, unless there is another doubt.
func (us *users) regain(why doubt) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.lost &^= why
	if us.lost != 0 {
		return
	}
	for _, u := range us.byName {
		for st := range u.seats {
			if st.relay != nil && st.onSource && !st.ended && u.holds == 0 {
				st.relay.resume()
			}
		}
		u.wake()
	}
}

// restless ends the sessions on the source that lose found with commands in flight: what the
// source answers from now on must not reach the client.
func (us *users) restless() (ended int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, u := range us.byName {
		for st := range u.seats {
			if st.relay != nil && st.onSource && !isClosed(st.quiet) {
				st.relay.cut()
				ended++
			}
		}
	}
	return ended
}

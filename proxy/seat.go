package proxy

// seat is the place of one session among its user's.
type seat struct {
	all *users
	u   *user

	// Guarded by users.mu.
	relay    *relay // nil until the login is through
	onSource bool
	quiet    <-chan struct{} // of the hold under way
	ended    bool            // told to go; it never goes on
	spoilt   int             // cutovers that failed because this session did not come to rest
}

// leave gives the seat back.
func (st *seat) leave() {
	st.all.mu.Lock()
	defer st.all.mu.Unlock()
	delete(st.u.seats, st)
	st.all.forget(st.u)
}

// look tells where the user stands on this node. changed is closed when it is worth another look.
func (st *seat) look() (turn int, held bool, changed <-chan struct{}) {
	st.all.mu.Lock()
	defer st.all.mu.Unlock()
	return st.u.turn, st.u.holds > 0 || st.all.lost != 0, st.u.changed
}

// attach makes r the seat's relay, unless the route that was read in turn may be out of date.
func (st *seat) attach(r *relay, onSource bool, turn int) bool {
	st.all.mu.Lock()
	defer st.all.mu.Unlock()
	if onSource && (st.all.lost != 0 || st.u.holds > 0 || st.u.turn != turn) {
		return false
	}
	st.relay, st.onSource = r, onSource
	if st.all.closed {
		r.end(goingDown)
	}
	return true
}

// hold is called with mu held and reports whether there was anything to hold.
func (st *seat) hold() bool {
	if st.relay == nil || !st.onSource {
		return false
	}
	st.quiet = st.relay.hold()
	return true
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return c == nil
	}
}

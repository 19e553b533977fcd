package statetest

import (
	"cmp"
	"maps"
	"slices"

	"imapferry/state"
)

// Times of the model. They only have an order: each step takes one tick, and Short is less.
const (
	tick  = 10
	short = 1
	long  = 1 << 40
)

// model is the contract in memory, as plainly as it can be said. It shares nothing with the stores but the types.
type model struct {
	now    int
	users  map[string]*account
	nodes  map[string]state.Node // by name, with until
	until  map[string]int
	claims map[string]string
}

// account is what the model knows of a user. Times are ticks; 0 is none.
type account struct {
	state.Record // without times
	leaseUntil   int
	nextTry      int
	deadline     int
	since        int
	started      bool
	migrated     bool
	attemptEpoch uint64
	waiting      map[state.Node]bool
	touched      map[state.Node][]state.Touched
	sessions     map[state.Node]int
	folders      map[string]state.Folder
}

func newModel() *model {
	return &model{users: map[string]*account{}, nodes: map[string]state.Node{}, until: map[string]int{}, claims: map[string]string{}}
}

func (m *model) offer(user string) {
	if m.users[user] == nil {
		m.users[user] = &account{Record: state.Record{User: user, Phase: state.Pending}, since: m.now, folders: map[string]state.Folder{}}
	}
}

func (a *account) leased(now int) bool { return a.Owner != "" && now < a.leaseUntil }

// held returns the account if l may change it.
func (m *model) held(l state.Lease) (*account, error) {
	a := m.users[l.User]
	switch {
	case a == nil:
		return nil, state.ErrUnknown
	case !a.leased(m.now) || a.Owner != l.Owner || a.Epoch != l.Epoch:
		return nil, state.ErrLost
	}
	return a, nil
}

func (m *model) acquire(user, owner string, ttl int) (state.Lease, error) {
	a := m.users[user]
	switch {
	case a == nil:
		return state.Lease{}, state.ErrUnknown
	case a.Phase == state.Finalized || a.Phase == state.Held:
		return state.Lease{}, state.ErrPhase
	case a.leased(m.now) && a.Owner != owner:
		return state.Lease{}, state.ErrBusy
	}
	a.Epoch++
	a.Owner, a.leaseUntil = owner, m.now+ttl
	return state.Lease{User: user, Owner: owner, Epoch: a.Epoch}, nil
}

func (m *model) renew(l state.Lease, ttl int) error {
	a, err := m.held(l)
	if err == nil {
		a.leaseUntil = m.now + ttl
	}
	return err
}

func (m *model) release(l state.Lease) error {
	a, err := m.held(l)
	if err == nil {
		a.Owner, a.leaseUntil, a.since = "", 0, m.now
	}
	return err
}

func (m *model) advance(l state.Lease, to state.Phase, c state.Change, retry, again int) error {
	a, err := m.held(l)
	if err != nil {
		return err
	}
	if to != a.Phase && (!a.Phase.CanBecome(to) || to == state.Cutover || a.Phase == state.Cutover) {
		return state.ErrPhase
	}
	if to > a.Phase && to != state.Held {
		a.Attempts, a.nextTry = 0, 0
	}
	if retry > 0 {
		a.Attempts++
		a.nextTry = m.now + retry
	}
	if c.Again != 0 {
		a.Attempts, a.nextTry = 0, 0
	}
	if c.Again > 0 {
		a.nextTry = m.now + again
	}
	a.Reason, a.Fidelity, a.Phase = c.Reason, cmp.Or(c.Fidelity, a.Fidelity), to
	a.started = a.started || to == state.Copying
	if to == state.Finalized && a.Fidelity == state.Exact && a.Skipped == 0 {
		clear(a.folders)
	}
	return nil
}

func (m *model) begin(l state.Lease, attempt string, budget int) (state.Lease, error) {
	a, err := m.held(l)
	if err != nil {
		return l, err
	}
	if a.Phase != state.Tailing {
		return l, state.ErrPhase
	}
	a.Phase, a.Reason, a.Attempt, a.Committing, a.deadline = state.Cutover, "", attempt, false, m.now+budget
	a.Epoch++
	a.attemptEpoch = a.Epoch
	a.waiting, a.touched, a.sessions = map[state.Node]bool{}, map[state.Node][]state.Touched{}, map[state.Node]int{}
	for _, n := range m.live() {
		a.waiting[n] = true
	}
	l.Epoch = a.Epoch
	return l, nil
}

func (a *account) under(attempt string) bool { return a.Phase == state.Cutover && a.Attempt == attempt }

func (m *model) acknowledge(n state.Node, h state.Hold, sessions int, touched []state.Touched) error {
	a := m.users[h.User]
	switch {
	case !m.alive(n):
		return state.ErrFenced
	case a == nil:
		return state.ErrUnknown
	case !a.under(h.Attempt) || a.attemptEpoch != h.Epoch:
		return state.ErrPhase
	}
	delete(a.waiting, n)
	a.touched[n] = touched
	delete(a.sessions, n)
	if sessions > 0 {
		a.sessions[n] = sessions
	}
	return nil
}

func (m *model) waitingFor(a *account) (nodes []state.Node) {
	for n := range a.waiting {
		if m.alive(n) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func (m *model) callOff(l state.Lease, attempt, reason string) error {
	anyone := l.Owner == "" && l.Epoch == 0
	a, err := m.held(l)
	if anyone && m.users[l.User] != nil {
		a, err = m.users[l.User], nil
	}
	switch {
	case err != nil:
		return err
	case !a.under(attempt) || a.Committing:
		return state.ErrPhase
	case anyone && m.now < a.deadline:
		return state.ErrLost
	}
	if anyone {
		a.Epoch++
		if a.Owner != "" {
			a.since = min(m.now, a.leaseUntil)
		}
		a.Owner, a.leaseUntil = "", 0
	}
	a.Phase, a.Reason, a.waiting = state.Tailing, reason, nil
	return nil
}

func (m *model) commit(l state.Lease, attempt string) error {
	a, err := m.held(l)
	switch {
	case err != nil:
		return err
	case !a.under(attempt) || a.attemptEpoch != l.Epoch:
		return state.ErrPhase
	case a.Committing:
		return nil
	case m.now >= a.deadline:
		return state.ErrLate
	case len(m.waitingFor(a)) > 0:
		return state.ErrWaiting
	}
	a.Committing = true
	return nil
}

func (m *model) flip(l state.Lease, attempt string, holdMS int64) error {
	a, err := m.held(l)
	switch {
	case err != nil:
		return err
	case a.Phase == state.Migrated && a.Attempt == attempt:
		return nil
	case !a.under(attempt) || !a.Committing:
		return state.ErrPhase
	}
	a.Phase, a.Committing, a.Released, a.Reason, a.Attempts, a.nextTry, a.waiting = state.Migrated, false, false, "", 0, m.now, nil
	a.HoldMS, a.migrated = holdMS, true
	return nil
}

// due returns who is due, in order.
func (m *model) due() []string {
	at := map[string]int{}
	for user, a := range m.users {
		waits := a.since
		if a.Owner != "" {
			waits = max(waits, a.leaseUntil)
		}
		if a.Phase != state.Cutover {
			waits = max(waits, a.nextTry)
		}
		if waits > m.now {
			continue
		}
		if a.Phase <= state.Cutover {
			at[user] = waits
		} else if a.Phase == state.Migrated && a.nextTry != 0 {
			at[user] = waits + long // behind the others
		}
	}
	return slices.SortedFunc(maps.Keys(at), func(a, b string) int { return cmp.Or(cmp.Compare(at[a], at[b]), cmp.Compare(a, b)) })
}

func (m *model) alive(n state.Node) bool { return m.nodes[n.Name] == n && m.now < m.until[n.Name] }

func (m *model) live() (live []state.Node) {
	for _, name := range slices.Sorted(maps.Keys(m.nodes)) {
		if n := m.nodes[name]; m.alive(n) {
			live = append(live, n)
		}
	}
	return live
}

// join returns who has the name, if it is not the caller.
func (m *model) join(name, former string) (has state.Node, taken bool) {
	has = m.nodes[name]
	return has, m.alive(has) && has.Incarnation != former
}

func (m *model) beat(n state.Node, ttl int) error {
	if !m.alive(n) {
		return state.ErrFenced
	}
	m.until[n.Name] = m.now + ttl
	return nil
}

func (m *model) claim(user string, tokens []string) string {
	for _, t := range tokens {
		if other := m.claims[t]; other != "" && other != user {
			return other
		}
	}
	for _, t := range tokens {
		m.claims[t] = user
	}
	return ""
}

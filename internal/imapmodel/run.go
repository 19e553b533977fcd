package imapmodel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Load says what the sessions of one account do.
type Load struct {
	Dial     func(context.Context) (net.Conn, error)
	Sessions int
	Seed     uint64
	Pause    time.Duration   // the longest between two steps
	Quiet    <-chan struct{} // once it is closed the sessions finish; or
	Steps    uint64          // a session finishes after so many, if not 0
	In       func()          // called by each session when it has logged in first; may be nil
}

// maxLogins bounds how often a session logs in again.
const maxLogins = 20

// Outcome is what one session, or all together, have done and met.
type Outcome struct {
	Commands map[string]int // by name
	Logins   int
	Ended    map[string]int // connections that the server ended with BYE, by its text
	Problems []string       // violations, with the last lines of the wire
}

func (o *Outcome) count(name string) { o.Commands[name]++ }

// Total counts the commands.
func (o *Outcome) Total() (n int) {
	for _, c := range o.Commands {
		n += c
	}
	return n
}

// Add adds what another session has done.
func (o *Outcome) Add(other Outcome) {
	if o.Commands == nil {
		o.Commands, o.Ended = map[string]int{}, map[string]int{}
	}
	for name, n := range other.Commands {
		o.Commands[name] += n
	}
	for text, n := range other.Ended {
		o.Ended[text] += n
	}
	o.Logins += other.Logins
	o.Problems = append(o.Problems, other.Problems...)
}

func (o *Outcome) String() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(o.Commands)) {
		names = append(names, fmt.Sprintf("%s %d", name, o.Commands[name]))
	}
	return fmt.Sprintf("%d commands (%s), %d logins, ended by BYE: %v", o.Total(), strings.Join(names, ", "), o.Logins, o.Ended)
}

// Run has sessions work on the account until Quiet, then compares what each was last told with what the server holds.
func (a *Account) Run(ctx context.Context, load Load) Outcome {
	var all sync.WaitGroup
	var still sync.WaitGroup // sessions that have not finished their last command
	outcomes := make([]Outcome, load.Sessions)
	still.Add(load.Sessions)
	for i := range outcomes {
		s := newSession(a, &load, i, &outcomes[i])
		all.Go(func() { s.live(ctx, &still) })
	}
	all.Wait()
	var sum Outcome
	for _, o := range outcomes {
		sum.Add(o)
	}
	return sum
}

func newSession(a *Account, load *Load, n int, out *Outcome) *Session {
	out.Add(Outcome{})
	return &Session{
		a: a, load: load, n: n, out: out, trace: &trace{start: time.Now()}, rng: rand.New(rand.NewPCG(load.Seed, uint64(n))),
		flags: map[*folder]map[uint32]flags{}, marked: map[*folder]map[uint32]bool{}, busy: map[*message]int{},
		caches: map[*folder]*cache{},
	}
}

// live is a session from its first login to its end.
func (s *Session) live(ctx context.Context, still *sync.WaitGroup) {
	working := true
	settle := func() {
		if working {
			working = false
			still.Done()
			still.Wait()
		}
	}
	for {
		err := s.connection(ctx, settle)
		s.close()
		switch {
		case errors.Is(err, errEnded):
			s.out.Ended[s.bye.text]++
			continue
		case err != nil:
			s.out.Problems = append(s.out.Problems, fmt.Sprintf("%s, session %d: %v\n%s", s.a.user, s.n, err, s.trace))
		}
		if working {
			still.Done()
		}
		return
	}
}

// connection is one connection from the login on. It returns nil when there is nothing more to do.
func (s *Session) connection(ctx context.Context, settle func()) error {
	if err := s.dial(ctx); err != nil {
		return err
	}
	conn := s.conn
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := s.login(); err != nil {
		return err
	}
	if s.out.Logins++; s.out.Logins > maxLogins {
		return fmt.Errorf("had to log in %d times", s.out.Logins)
	}
	if s.out.Logins == 1 && s.load.In != nil {
		s.load.In()
	}
	for !s.enough() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.act(); err != nil {
			return err
		}
	}
	settle()
	return s.finish()
}

func (s *Session) enough() bool {
	select {
	case <-s.load.Quiet:
		return true
	default:
		return s.load.Steps > 0 && s.steps >= s.load.Steps
	}
}

// finish looks what the session was told last. Nobody changes anything any more.
func (s *Session) finish() error {
	if s.view == nil {
		if err := s.do(s.open()); err != nil {
			return err
		}
	}
	if err := s.do(plain("NOOP", "")); err != nil {
		return err
	}
	v := s.view
	told := map[*message]flags{}
	for _, m := range v.msgs {
		if m.known {
			told[m] = m.flags
		}
	}
	if len(v.msgs) > 0 {
		if err := s.do(s.list()); err != nil {
			return err
		}
	}
	last := final{fmt.Sprintf("session %d", s.n), v.in, map[uint32]flags{}}
	for _, m := range v.msgs {
		if was, ok := told[m]; ok && was != m.flags {
			return fmt.Errorf("UID %d of %s has flags (%s), but (%s) was told last", m.uid, v.in.name, m.flags, was)
		}
		last.flags[m.uid] = m.flags
	}
	s.a.mu.Lock()
	s.a.finals = append(s.a.finals, last)
	s.a.mu.Unlock()
	s.leaving = true
	err := s.do(plain("LOGOUT", ""))
	if err == nil && s.bye == nil {
		err = fmt.Errorf("LOGOUT is answered without BYE")
	}
	return err
}

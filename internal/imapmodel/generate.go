package imapmodel

import (
	"math/rand/v2"
	"time"
)

// act does the next thing: its kind depends on seed, session and the number of the step alone.
func (s *Session) act() error {
	s.steps++
	s.rng = rand.New(rand.NewPCG(s.load.Seed, uint64(s.n)<<32|s.steps))
	if err := s.pause(time.Duration(s.rng.Int64N(int64(s.load.Pause)+1)), 1<<10); err != nil {
		return err
	}
	switch n := s.rng.IntN(20); {
	case s.view == nil && n < 4:
		if c := s.enable(); c != nil {
			return s.do(c)
		}
	case s.view == nil && n < 14 || n < 2:
		return s.enter()
	case n < 4:
		return s.do(s.ownFolder()...)
	case n < 6 && s.has("IDLE"):
		return s.idle(time.Duration(s.rng.Int64N(int64(3*s.load.Pause) + 1)))
	case n == 6:
		if c := s.append(true); c != nil {
			return s.do(c)
		}
	case n == 7 && s.view != nil && s.rng.IntN(2) == 0:
		return s.do(s.closeFolder())
	}
	return s.do(s.batch()...)
}

// enter opens a folder, and mostly lists it, as most clients do.
func (s *Session) enter() error {
	if err := s.do(s.open()); err != nil {
		return err
	}
	if s.rng.IntN(5) > 0 && len(s.view.msgs) > 0 {
		return s.do(s.list())
	}
	return nil
}

// batch makes one command, or some that are sent at once. Sequence numbers come first: FETCH, STORE and SEARCH let none be
// expunged, and what comes after the first other command uses UIDs or no messages at all (RFC 9051, 5.5). What is answered
// alike is not sent twice.
func (s *Session) batch() []*command {
	most := 1
	if s.rng.IntN(3) == 0 {
		most = 2 + s.rng.IntN(4)
	}
	var all []*command
	var searched, copied bool
	add := func(c *command) {
		if c != nil {
			all = append(all, c)
		}
	}
	stage := 0 // 0: sequence numbers; 1: others
	for range 4 * most {
		if len(all) >= most {
			break
		}
		if s.rng.IntN(3) == 0 || s.view == nil {
			stage = 1
		}
		byUID := stage == 1
		switch n := s.rng.IntN(20); {
		case s.view == nil || n < 4:
			stage = 1
			add(s.beside(copied))
		case n < 11:
			add(s.fetch(byUID))
		case n < 14:
			add(s.store(byUID))
		case n == 14:
			add(s.mark(byUID))
		case n < 17 && !searched:
			searched = true
			add(s.search(byUID))
		case n < 19 && !copied:
			copied, stage = true, 1
			add(s.copyTo(byUID, s.rng.IntN(3) == 0))
		case n == 19:
			stage = 1
			add(s.expunge(s.has("UIDPLUS") && s.rng.IntN(2) == 0))
		}
	}
	if len(all) == 0 {
		add(plain("NOOP", ""))
	}
	return all
}

// beside is a command that names no messages of the open folder. Behind a COPY it is no APPEND: Dovecot puts off the end of the
// COPY while more is in its input, and an APPEND to the same folder then waits two minutes for a lock that its own session has.
func (s *Session) beside(copied bool) *command {
	switch n := s.rng.IntN(8); {
	case n < 3 && !copied:
		return s.append(false)
	case n == 3:
		return s.listAll()
	case n < 6:
		return s.statusFor()
	}
	return s.misc()
}

package imapmodel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
)

// Spec says what an account holds at first.
type Spec struct {
	Folders  int // beside INBOX; at least 1
	Messages int // in all folders together
	Seed     uint64
}

// gap is the share of messages that are expunged at once, so that UIDs are missing: one of so many.
const gap = 10

// Fill fills an empty account and returns what is known of it.
func Fill(ctx context.Context, dial func(context.Context) (net.Conn, error), user, pass string, spec Spec) (*Account, error) {
	a := &Account{user: user, pass: pass, folders: map[string]*folder{}}
	s := newSession(a, &Load{Dial: dial}, 0, &Outcome{})
	if err := s.fill(ctx, spec); err != nil {
		return nil, fmt.Errorf("fill %s: %w\n%s", user, err, s.trace)
	}
	return a, nil
}

func (s *Session) fill(ctx context.Context, spec Spec) error {
	defer s.close()
	if err := s.dial(ctx); err != nil {
		return err
	}
	if err := s.login(); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(spec.Seed, 2))
	for i := range spec.Folders + 1 {
		name := "INBOX"
		if i > 0 {
			name = fmt.Sprintf("Shared %d", i)
			if err := s.do(plain("CREATE", quote(name)), plain("SUBSCRIBE", quote(name))); err != nil {
				return err
			}
		}
		if err := s.pour(s.a.newFolder(name, nil), spec.Messages/(spec.Folders+1), rng); err != nil {
			return err
		}
	}
	s.leaving = true
	return s.do(plain("LOGOUT", ""))
}

// pour stores messages with one command, and expunges some of them.
func (s *Session) pour(to *folder, n int, rng *rand.Rand) error {
	if n == 0 {
		return nil
	}
	c := plain("APPEND", quote(to.name))
	ids := make([]letter, n)
	marked := make([]bool, n)
	for i := range ids {
		ids[i] = letter(fmt.Sprintf("%s-%s-%d", s.a.user, to.name, i))
		with := []string{"", `\Seen`, `\Seen \Answered`, `\Flagged`}[rng.IntN(4)]
		if marked[i] = rng.IntN(gap) == 0; marked[i] {
			with = `\Deleted`
		}
		c.parts = append(c.parts, " ("+with+") "+quote(ids[i].date().Format(dateLayout))+" ", literal{ids[i].body(), false})
	}
	c.ok = func(r *response) error {
		uids, err := s.appended(to, r, n, 0)
		if err != nil {
			return err
		}
		for i, uid := range uids {
			if err := s.a.store(to, uid, ids[i], marked[i]); err != nil {
				return err
			}
			if marked[i] {
				to.copy(uid).gone = s.a.tick()
			}
		}
		return nil
	}
	if err := s.do(c); err != nil {
		return err
	}
	if err := s.do(s.openAs("SELECT", to)); err != nil {
		return err
	}
	return s.do(s.leave("CLOSE"))
}

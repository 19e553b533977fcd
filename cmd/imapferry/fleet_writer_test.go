package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"imapferry/internal/testbed"
)

// writer is one client of a user, on one session at a time. It works on letters of its own alone, so what it is told is not changed by
// others behind its back, and believes no node: whenever it opens a folder, all that was acknowledged before must be there.
type writer struct {
	f       *fleet
	user    *fleetUser
	name    string
	rng     *rand.Rand
	pause   time.Duration // between two commands, about
	letters []*posting
	folder  string // that is open
	serial  int
}

// fleetUser is a user, whose UIDVALIDITYs all writers share.
type fleetUser struct {
	name    string
	writers []*writer
	late    bool // was not migrated in time

	mu       sync.Mutex
	validity map[string]string // guarded by mu; by folder
}

// letterFolders are the same for all users.
var letterFolders = []string{"INBOX", "Work"}

// mostLetters is how many letters a writer keeps.
const mostLetters = 30

// run writes until quiet is closed.
func (w *writer) run(ctx context.Context, quiet <-chan struct{}) {
	for !isOver(quiet) && ctx.Err() == nil {
		n := w.f.nodes[w.rng.IntN(len(w.f.nodes))]
		addr := n.listens()
		if addr == "" {
			pause(ctx, w.pause)
			continue
		}
		c, err := testbed.Login(ctx, addr, w.user.name, "pass", testbed.WithCA(w.f.source.CertFile))
		if err != nil {
			w.refused(n, err)
			pause(ctx, w.pause)
			continue
		}
		w.f.did.add("logins")
		w.session(ctx, n, c, quiet)
		c.Close()
	}
}

// refused looks at a login that failed: that a node cannot serve the user now is to be expected, a wrong password is not.
func (w *writer) refused(n *fleetNode, err error) {
	w.f.did.add("logins refused")
	var no *testbed.RefusedError
	if errors.As(err, &no) && (no.Status != "NO" || !strings.HasPrefix(no.Code, "UNAVAILABLE")) {
		w.f.problem(w.user, "%s at node %s: %v", w.name, n.name, err)
	}
}

// session works over one connection, until it ends or has lasted long enough.
func (w *writer) session(ctx context.Context, n *fleetNode, c *testbed.Client, quiet <-chan struct{}) {
	w.folder = ""
	for range 10 + w.rng.IntN(40) {
		if isOver(quiet) || ctx.Err() != nil {
			break
		}
		patience := time.AfterFunc(time.Duration(2+w.rng.IntN(10))*time.Second, c.Close)
		err := w.step(c, n)
		patience.Stop()
		var no *testbed.RefusedError
		if errors.As(err, &no) {
			w.f.did.add("commands refused")
			err = nil
		}
		if err != nil {
			w.f.did.add("sessions ended")
			return
		}
		pause(ctx, w.pause/2+time.Duration(w.rng.Int64N(int64(w.pause))))
	}
	_ = c.Logout() // which a node that has just been killed does not answer
}

// step does one thing.
func (w *writer) step(c *testbed.Client, n *fleetNode) error {
	if w.folder == "" {
		return w.open(c, n)
	}
	switch w.rng.IntN(12) {
	case 0, 1, 2, 3:
		return w.append(c, n)
	case 4, 5, 6, 7:
		return w.store(c, n)
	case 8:
		return w.expunge(c, n)
	case 9:
		return w.open(c, n)
	case 10:
		_, err := c.Idle(time.Duration(w.rng.IntN(300)) * time.Millisecond)
		return err
	}
	if len(w.letters) > mostLetters {
		return w.expunge(c, n)
	}
	_, err := c.Do("NOOP")
	return err
}

// open selects a folder and looks at all letters there.
func (w *writer) open(c *testbed.Client, n *fleetNode) error {
	w.folder = ""
	folder := letterFolders[w.rng.IntN(len(letterFolders))]
	replies, err := c.Do("SELECT ", testbed.Quote(folder))
	if err != nil {
		return err
	}
	w.folder = folder
	for _, r := range replies {
		if code, value, _ := strings.Cut(r.Code, " "); code == "UIDVALIDITY" {
			w.user.same(w.f, folder, value)
		}
	}
	mine := w.here(func(*posting) bool { return true })
	if len(mine) == 0 {
		return nil
	}
	var uids []string
	for _, l := range mine {
		uids = append(uids, strconv.FormatUint(uint64(l.uid), 10))
	}
	if replies, err = c.Do("UID FETCH " + strings.Join(uids, ",") + " (UID FLAGS)"); err != nil {
		return err
	}
	shown := shownBy(replies)
	for _, l := range mine {
		s, there := shown[l.uid]
		if err := l.judge(there, s.flags); err != nil {
			w.f.problem(w.user, "%s at node %s: %v", w.name, n.name, err)
			w.letters = slices.DeleteFunc(w.letters, func(other *posting) bool { return other == l }) // said once
		}
	}
	w.f.did.add("looks at a folder")
	return nil
}

// here returns the writer's letters in the open folder that are acknowledged and suit.
func (w *writer) here(suits func(*posting) bool) (list []*posting) {
	for _, l := range w.letters {
		if l.folder == w.folder && l.uid != 0 && suits(l) {
			list = append(list, l)
		}
	}
	return list
}

func (w *writer) append(c *testbed.Client, n *fleetNode) error {
	l := w.letter(letterFolders[w.rng.IntN(len(letterFolders))])
	w.letters = append(w.letters, l)
	uid, err := c.Append(l.folder, l.mail())
	if err != nil {
		return err
	}
	l.uid = uid
	l.note("appended", n)
	w.f.did.add("APPEND acknowledged")
	return nil
}

// letter makes up the next one.
func (w *writer) letter(folder string) *posting {
	w.serial++
	l := &posting{subject: fmt.Sprintf("%s-%d", w.name, w.serial), folder: folder, changes: map[string]change{}}
	for _, flag := range letterFlags {
		if w.rng.IntN(4) == 0 {
			l.had = append(l.had, flag)
		}
	}
	return l
}

func (l *posting) mail() testbed.Mail {
	return testbed.Mail{Flags: strings.Join(l.had, " "), Body: fmt.Sprintf("Message-ID: <%s@x>\r\nSubject: %s\r\n\r\n%[1]s\r\n", l.subject, l.subject)}
}

// store changes a flag of a letter, which nobody has changed before, or asks again for what was not acknowledged.
func (w *writer) store(c *testbed.Client, n *fleetNode) error {
	flag := letterFlags[w.rng.IntN(len(letterFlags))]
	list := w.here(func(l *posting) bool { return l.removal == unasked && l.changes[flag].fate != granted })
	if len(list) == 0 {
		return nil
	}
	l := list[w.rng.IntN(len(list))]
	set, sign := !slices.Contains(l.had, flag), "-"
	if set {
		sign = "+"
	}
	l.changes[flag] = change{set, asked}
	what := fmt.Sprintf("%sFLAGS %s", sign, flag)
	l.note(what+" asked", n)
	replies, err := c.Do(fmt.Sprintf("UID STORE %d %sFLAGS (%s)", l.uid, sign, flag))
	if err != nil || !w.took(replies, l) {
		return err
	}
	l.changes[flag] = change{set, granted}
	l.note(what+" granted", n)
	w.f.did.add("STORE acknowledged")
	return nil
}

// took reports whether STORE has found the letter: OK alone says that it has found nothing, since the session has not heard of it yet.
func (w *writer) took(replies []testbed.Response, l *posting) bool {
	_, found := shownBy(replies)[l.uid]
	if !found {
		w.f.did.add("STORE found nothing")
	}
	return found
}

// expunge removes a letter for good.
func (w *writer) expunge(c *testbed.Client, n *fleetNode) error {
	list := w.here(func(l *posting) bool { return l.removal != granted })
	if len(list) == 0 {
		return nil
	}
	l := list[w.rng.IntN(len(list))]
	l.removal = asked
	l.note("removal asked", n)
	replies, err := c.Do(fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, l.uid))
	if err != nil || !w.took(replies, l) {
		return err
	}
	if _, err := c.Do(fmt.Sprintf("UID EXPUNGE %d", l.uid)); err != nil {
		return err
	}
	l.removal = granted
	l.note("removal granted", n)
	w.f.did.add("EXPUNGE acknowledged")
	return nil
}

// same demands that a folder has the UIDVALIDITY that it had (I2).
func (u *fleetUser) same(f *fleet, folder, validity string) {
	u.mu.Lock()
	was := u.validity[folder]
	u.validity[folder] = validity
	u.mu.Unlock()
	if was != "" && was != validity {
		f.problem(u, "%s has UIDVALIDITY %s, and had %s", folder, validity, was)
	}
}

// letters returns those of all writers of the user.
func (u *fleetUser) letters() (all []*posting) {
	for _, w := range u.writers {
		all = append(all, w.letters...)
	}
	return all
}

// shownLetter is what FETCH tells of one message.
type shownLetter struct {
	flags   []string
	subject string // if it was asked for
}

// shownBy reads the answers to UID FETCH.
func shownBy(replies []testbed.Response) map[uint32]shownLetter {
	all := map[uint32]shownLetter{}
	for _, r := range replies {
		if len(r.Values) < 3 || r.Values[1].Text != "FETCH" {
			continue
		}
		var uid uint64
		s, items := shownLetter{}, r.Values[2].List
		for i, v := range items[:max(0, len(items)-1)] {
			switch next := items[i+1]; v.Text {
			case "UID":
				uid, _ = strconv.ParseUint(next.Text, 10, 32)
			case "FLAGS":
				for _, f := range next.List {
					s.flags = append(s.flags, f.Text)
				}
			}
		}
		if n := len(items); n > 0 {
			_, subject, _ := strings.Cut(items[n-1].Text, "Subject: ")
			s.subject = strings.TrimSpace(subject)
		}
		if uid != 0 {
			all[uint32(uid)] = s
		}
	}
	return all
}

// isOver reports whether c is closed.
func isOver(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// fill gives the user mail before anything begins.
func (u *fleetUser) fill(ctx context.Context, addr string, letters int) error {
	c, err := testbed.Login(ctx, addr, u.name, "pass")
	if err != nil {
		return err
	}
	defer c.Close()
	for _, folder := range letterFolders[1:] {
		if _, err := c.Do("CREATE ", testbed.Quote(folder)); err != nil {
			return err
		}
	}
	for i := range letters {
		w := u.writers[i%len(u.writers)]
		l := w.letter(letterFolders[i/len(u.writers)%len(letterFolders)])
		if l.uid, err = c.Append(l.folder, l.mail()); err != nil {
			return err
		}
		w.letters = append(w.letters, l)
	}
	return nil
}

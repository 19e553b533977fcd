package migrate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// stuck makes the source unable to send the bodies of a folder, so that the user stays in copying, and returns what mends it.
func (f *fake) stuck(folder string) (mend func()) {
	f.deliver(folder, 1)
	var selected atomic.Bool
	f.do(func() {
		f.hook = func(verb, args string) (string, bool) {
			if verb == "EXAMINE" {
				selected.Store(strings.Contains(args, folder))
			}
			if verb == "UID FETCH" && strings.Contains(args, "BODY") && selected.Load() {
				return "%t NO [UNAVAILABLE] not now\r\n", true
			}
			return "", false
		}
	})
	return func() { f.do(func() { f.hook = nil }) }
}

// halfway copies until a folder of the source does not open, while all others are copied, and stops. The folder opens from then on.
func (s *stage) halfway() {
	s.t.Helper()
	mend := s.src.stuck("Zed")
	s.start()
	s.failing("not now")
	s.stop()
	mend()
}

// one makes the engine work with one connection to each server, so that what happens is in order.
func one(s *stage) *stage {
	s.lanes = 1
	return s
}

// TestSwappedFolder: while a user is copied, somebody puts another folder in the place of one that is copied already.
// Its mail has UIDs that the engine has given out too, and is not taken for the engine's own (I4).
func TestSwappedFolder(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("Work", 1, 2, 3)
	s.halfway()
	s.dst.do(func() { delete(s.dst.folders, "Work") })
	s.dst.deliver("Work", 1, 3)
	s.dst.do(func() { s.dst.folders["Work"].mail[0].body = "not from here" })
	before := s.dst.text(true)
	s.start()
	s.held(`"Work"`, "is not the one that was copied")
	if after := s.dst.text(true); before != after {
		t.Errorf("the target was touched: before\n%safter\n%s", before, after)
	}
}

// TestChangedMeanwhile: somebody writes into a folder of the target that was copied. The engine does not go on as if it were its own (I4, I7).
func TestChangedMeanwhile(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("Work", 1, 2, 3)
	s.halfway()
	s.dst.deliver("Work", 9)
	before := s.dst.text(true)
	s.start()
	s.held(`"Work"`, "was changed by somebody else since the last pass")
	if after := s.dst.text(true); before != after {
		t.Errorf("the target was touched: before\n%safter\n%s", before, after)
	}
}

// forgetful loses the first n calls of DeleteFolder.
type forgetful struct {
	*boltstate.Store
	left atomic.Int32
}

func (f *forgetful) DeleteFolder(ctx context.Context, l state.Lease, name string) error {
	if f.left.Add(-1) >= 0 {
		return errors.New("store is away")
	}
	return f.Store.DeleteFolder(ctx, l, name)
}

// TestDeletedButRecorded: a folder that is gone at the source is deleted in the target, and the engine dies before it
// can say so. The user goes on, since nobody else deleted it.
func TestDeletedButRecorded(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.wrap = func(b *boltstate.Store) Store {
		f := &forgetful{Store: b}
		f.left.Store(1)
		return f
	}
	s.src.deliver("Work", 1, 2, 3)
	s.halfway()
	s.src.do(func() { delete(s.src.folders, "Work") })
	s.start()
	s.migrated()
	if !strings.Contains(s.log.String(), "store is away") {
		t.Error("the store was not asked to forget the folder")
	}
}

// exact is an adapter for the fake target.
type exact struct {
	imapAdapter
	f *fake
}

func (exact) fidelity() state.Fidelity { return state.Exact }

func (e exact) skip(_ context.Context, _ *client, _, folder string, _, to uint32) error {
	e.f.do(func() { e.f.folders[folder].next = to })
	return nil
}

func (e exact) setUIDValidity(_ context.Context, _ *client, _ string, folders []*mailbox) error {
	e.f.do(func() {
		for _, m := range folders {
			e.f.folders[m.name].validity = m.status.uidValidity
		}
	})
	return nil
}

// TestGapBetweenTwins: source and target made INBOX in the same second, and it has a gap too long to fill. It is no folder that was given
// its UIDVALIDITY before: to be copied anew, which not every target can do with INBOX, would hold its user.
func TestGapBetweenTwins(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.adapter = exact{f: s.dst}
	s.src.deliver("INBOX", 1, 2, 200_200)
	s.src.do(func() { s.src.folders["INBOX"].validity = 7 })
	s.dst.do(func() { s.dst.folders["INBOX"].validity = 7 })
	s.start()
	s.migrated()
	if s.src.text(true) != s.dst.text(true) || strings.Contains(s.log.String(), "copying a folder anew") {
		t.Errorf("source:\n%starget:\n%s", s.src.text(true), s.dst.text(true))
	}
}

// TestEmptiedAfterMove: the store is lost after the switch, and the user has deleted all mail since. The target is as
// empty as a new one, but it is live, and is not filled with the source's old mail (I7).
func TestEmptiedAfterMove(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.deliver("INBOX", 1, 2, 3)
	s.dst.do(func() { // as the switch and the user have left it
		s.dst.folders["INBOX"] = &fakeFolder{validity: s.src.folders["INBOX"].validity, next: 9}
	})
	before := s.dst.text(true)
	s.adapter = exact{f: s.dst}
	s.start()
	s.held("was this user moved before?")
	if after := s.dst.text(true); before != after {
		t.Errorf("the target was touched: before\n%safter\n%s", before, after)
	}
}

// TestUIDValidityGivenButNotRecorded: the engine dies between giving a folder its UIDVALIDITY and recording it.
func TestUIDValidityGivenButNotRecorded(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1, 2, 3)
	a := &dying{exact: exact{f: s.dst}}
	s.adapter = a
	s.start()
	s.migrated()
	if !a.died.Load() || s.src.text(true) != s.dst.text(true) {
		t.Errorf("died %v; source:\n%starget:\n%s", a.died.Load(), s.src.text(true), s.dst.text(true))
	}
}

type dying struct {
	exact
	died atomic.Bool
}

func (d *dying) setUIDValidity(ctx context.Context, dst *client, user string, folders []*mailbox) error {
	if err := d.exact.setUIDValidity(ctx, dst, user, folders); err != nil {
		return err
	}
	if d.died.CompareAndSwap(false, true) {
		return errors.New("answer lost")
	}
	return nil
}

// TestCreatedMeanwhile: a lane makes a folder that another one has just made as the parent of its own.
func TestCreatedMeanwhile(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("Work", 1)
	s.dst.hook = func(verb, args string) (string, bool) {
		if verb == "CREATE" {
			s.dst.do(func() { s.dst.create("Work") })
		}
		return "", false
	}
	s.start()
	s.migrated()
	if strings.Contains(s.log.String(), "trying again") {
		t.Error("it took a second try")
	}
}

// belated is an adapter whose first call takes effect only when somebody works on the folder again, long after its answer was lost.
type belated struct {
	exact
	once  sync.Once
	apply func()
}

func (a *belated) setUIDValidity(ctx context.Context, dst *client, user string, folders []*mailbox) (err error) {
	a.once.Do(func() {
		err = errors.New("answer lost")
		a.f.do(func() { a.apply = func() { _ = a.exact.setUIDValidity(ctx, dst, user, folders) } })
	})
	if err == nil {
		err = a.exact.setUIDValidity(ctx, dst, user, folders)
	}
	return err
}

// TestUIDValidityGivenLate: doveadm gives folders their UIDVALIDITY after the worker that asked for it has died, and after the next one
// has looked. They are no others for that.
func TestUIDValidityGivenLate(t *testing.T) {
	for _, verb := range []string{"SELECT", "APPEND"} {
		t.Run(verb, func(t *testing.T) {
			s := one(newStage(t, batchCaps))
			s.src.deliver("INBOX", 1, 2, 3)
			a := &belated{exact: exact{f: s.dst}}
			s.adapter = a
			s.dst.hook = func(v, _ string) (string, bool) {
				var apply func()
				s.dst.do(func() {
					if apply = a.apply; v == verb && apply != nil {
						a.apply = nil
					}
				})
				if v == verb && apply != nil {
					apply()
				}
				return "", false
			}
			var once sync.Once
			s.src.hook = func(v, _ string) (string, bool) {
				if v == "LIST" && strings.Contains(s.log.String(), "answer lost") {
					once.Do(func() { s.src.deliver("INBOX", 4) }) // so that there is something to do
				}
				return "", false
			}
			s.start()
			s.migrated()
			if s.src.text(true) != s.dst.text(true) || !strings.Contains(s.log.String(), "answer lost") {
				t.Errorf("source:\n%starget:\n%s", s.src.text(true), s.dst.text(true))
			}
		})
	}
}

// TestDeleteRefused: a target that did not let a folder go, whose source was deleted or made anew, had its user tried again for ever and
// shown to nobody. He is held with its words, and goes on when the operator has deleted the folder.
func TestDeleteRefused(t *testing.T) {
	for name, change := range map[string]func(*fake){
		"gone": func(f *fake) { delete(f.folders, "Work") },
		"anew": func(f *fake) { f.create("Work").add(&fakeMail{uid: 1, date: fakeDate, body: "another one"}) },
	} {
		for _, caps := range []string{batchCaps, batchCaps + " METADATA"} {
			t.Run(name+" "+caps, func(t *testing.T) {
				s := one(newStage(t, caps))
				s.src.deliver("Work", 1, 2, 3)
				s.halfway()
				s.src.do(func() { change(s.src) })
				s.dst.hook = func(verb, args string) (string, bool) {
					return "%t NO [CANNOT] this folder is special\r\n", (verb == "DELETE" || verb == "SETMETADATA") && strings.Contains(args, "Work")
				}
				s.start()
				s.held(`"Work"`, "this folder is special", "delete it there, then retry")
				s.dst.do(func() { delete(s.dst.folders, "Work") })
				s.retry()
				s.migrated()
			})
		}
	}
}

// TestDeleteSpecial: Cyrus lets nobody delete a folder that has a special use. It is taken from the folder first.
func TestDeleteSpecial(t *testing.T) {
	x, target := shelled(t, cyrus)
	commands(t, x.ctx, x.src.IMAP(), "CREATE Mine")
	x.looked(target)
	commands(t, x.ctx, target, `SETMETADATA Mine (/private/specialuse "\\Archive")`)
	commands(t, x.ctx, x.src.IMAP(), "DELETE Mine")
	x.looked(target)
	if got := x.listed(target); slices.Contains(got, "Mine") {
		t.Errorf("the target lists %q", got)
	}
}

// TestUIDNextFellBack: a target that was restored from a backup during the copy has given out UIDs that it does not know of. Its user is
// told to delete the folder, and to retry; then was told to delete all others too.
func TestUIDNextFellBack(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.src.deliver("Work", 1, 2, 3)
	for _, m := range s.src.folders["Work"].mail[1:] {
		m.body = strings.Repeat("0123456789abcd\r\n", 1<<17) // goes alone
	}
	var large atomic.Int32
	s.dst.onBody = func(_ int, size int64) (string, bool) {
		restore := size > aloneBytes && large.Add(1) == 2
		if restore {
			s.dst.do(func() {
				work := s.dst.folders["Work"]
				work.mail, work.next = nil, 1
			})
		}
		return "* BYE [UNAVAILABLE] restoring\r\n", restore
	}
	s.start()
	s.held(`"Work"`, "uids below 2 were given already; delete it at the target, then retry")
	s.dst.do(func() { delete(s.dst.folders, "Work") })
	s.retry()
	s.migrated()
}

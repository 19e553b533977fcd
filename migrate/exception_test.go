package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"imapferry/state"
	"imapferry/state/boltstate"
)

// excepted demands that exactly these exceptions are recorded, each as "folder uid class", and counted in the record (I10).
func (s *stage) excepted(want ...string) {
	s.t.Helper()
	list, err := s.store.Exceptions(s.ctx, "alice", "", 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s %d %s", e.Folder, e.UID, e.Class))
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("exceptions %q, want %q: %+v", got, want, list)
	}
	s.await("counted", func(r state.Record) bool { return r.Exceptions == int64(len(want)) && r.Owner == "" })
}

// crossed waits for the switch, whatever is excepted.
func (s *stage) crossed() {
	s.t.Helper()
	s.await("migrated", func(r state.Record) bool {
		if r.Phase == state.Held {
			s.t.Fatalf("held: %s", r.Reason)
		}
		return r.Phase == state.Migrated
	})
}

// allow is what an operator does who accepts the exceptions: it needs a restart.
func (s *stage) allow(classes ...string) {
	s.t.Helper()
	s.stop()
	s.settings.Allow = classes
	if _, err := s.store.Retry(s.ctx, "alice"); err != nil {
		s.t.Fatal(err)
	}
	s.start()
}

// TestOddDate: a message whose INTERNALDATE is none, or one that the target does not keep, holds the user with folder and
// UID only when all else is done, and crosses when that is allowed (I9, I10).
func TestOddDate(t *testing.T) {
	for _, date := range []string{"", "yesterday", "32-Foo-2020 10:00:00 +0100", "07-Feb-2020"} {
		s := newStage(t, batchCaps)
		s.src.deliver("Work", 1, 2)
		s.src.folders["Work"].mail[1].date = date
		s.start()
		s.held("1 exception: 1 date", "imapferry exceptions alice", `allow = ["date"]`)
		s.excepted("Work 2 date")
		s.allow(ClassDate)
		s.crossed()
		s.excepted("Work 2 date")
		if got := s.dst.folders["Work"].mail; len(got) != 2 || got[1].date != substituteDate {
			t.Errorf("the target has %+v", got)
		}
		s.stop()
	}
}

// TestFlagsNotKept: a target that refuses a flag, or takes it without keeping it, holds the user with the flag and
// the UID when all else is done; other flags are set all the same (I2, I10).
func TestFlagsNotKept(t *testing.T) {
	for _, answer := range []string{"", "%t NO invalid keyword\r\n", "%t BAD invalid keyword\r\n"} {
		s := one(newStage(t, batchCaps))
		s.src.deliver("INBOX", 1, 2)
		s.dst.do(func() { s.dst.keeps = func(flag string) bool { return flag != "$Odd" } })
		s.dst.hook = func(verb, args string) (string, bool) {
			return answer, answer != "" && verb == "UID STORE" && strings.Contains(args, "$Odd")
		}
		s.src.do(func() { s.src.folders["INBOX"].mail[0].flags = `$Odd \Flagged \Seen` })
		s.start()
		s.held("1 exception: 1 flags")
		s.excepted("INBOX 1 flags")
		s.src.do(func() { s.src.folders["INBOX"].mail[0].flags = `$Odd \Draft` })
		s.allow(ClassFlags)
		s.crossed()
		s.excepted("INBOX 1 flags")
		if got := s.dst.folders["INBOX"].mail[0].flags; got != `\Draft` {
			t.Errorf("the target has %s", got)
		}
		s.stop()
	}
}

// TestFlagsMended: an exception goes when what it tells of does.
func TestFlagsMended(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1, 2)
	s.dst.do(func() { s.dst.keeps = func(flag string) bool { return flag != "$Odd" } })
	s.src.do(func() { s.src.folders["INBOX"].mail[0].flags = `$Odd` })
	s.start()
	s.held("1 exception")
	s.src.do(func() { s.src.folders["INBOX"].mail[0].flags = `` })
	s.retry()
	s.migrated()
	s.excepted()
}

// TestFolderStuck: a folder that the source does not open, or the target does not take, does not stop the others, and
// may stay behind if that is allowed.
func TestFolderStuck(t *testing.T) {
	for side, verbs := range map[string][]string{"source status": {"STATUS"}, "source open": {"EXAMINE"}, "target": {"CREATE"}} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			s := one(newStage(t, batchCaps))
			s.src.deliver("INBOX", 1)
			s.src.deliver("Bad", 1, 2)
			s.src.deliver("Work", 4)
			f := s.src
			if side == "target" {
				f = s.dst
			}
			f.hook = func(verb, args string) (string, bool) {
				return "%t NO [CANNOT] not this one\r\n", slices.Contains(verbs, verb) && strings.HasPrefix(args, `"Bad"`)
			}
			s.start()
			s.held("1 exception: 1 folder")
			s.excepted("Bad 0 folder")
			if got := s.dst.folders["Work"]; got == nil || len(got.mail) != 1 {
				t.Error("the folder behind it was not copied")
			}
			s.allow(ClassFolder)
			s.crossed()
			s.excepted("Bad 0 folder")
		})
	}
}

// givesBack is a store that tells when a lease is given back.
type givesBack struct {
	Store
	released func()
}

func (g *givesBack) Release(ctx context.Context, l state.Lease) error {
	g.released()
	return g.Store.Release(ctx, l)
}

// TestFolderStuckForOnce: a server says no for a moment, without a code, to what concerns one folder. The user is neither held for it nor
// switched without that folder, although folders may stay behind (I1).
func TestFolderStuckForOnce(t *testing.T) {
	for side, verb := range map[string]string{"source status": "STATUS", "source status under hold": "STATUS", "source open": "EXAMINE", "target": "CREATE"} {
		for _, allow := range [][]string{nil, {ClassFolder}} {
			t.Run(fmt.Sprint(side, allow), func(t *testing.T) {
				t.Parallel()
				s := one(newStage(t, batchCaps))
				s.settings.Allow = allow
				s.src.deliver("INBOX", 1)
				s.src.deliver("Bad", 1, 2)
				var away, was atomic.Bool
				s.wrap = func(b *boltstate.Store) Store {
					store := &givesBack{b, func() { away.Store(false) }}
					return &eventful{Store: store, before: func() {}, held: func() { away.Store(!was.Load()) }}
				}
				away.Store(side != "source status under hold")
				f := s.src
				if side == "target" {
					f = s.dst
				}
				f.hook = func(v, args string) (string, bool) {
					no := away.Load() && v == verb && strings.HasPrefix(args, `"Bad"`)
					was.Store(was.Load() || no)
					return "%t NO Server unavailable\r\n", no
				}
				s.start()
				s.migrated()
				s.excepted()
				if !was.Load() {
					t.Error("nothing was refused")
				}
			})
		}
	}
}

// TestSubscriptionRefused: a subscription that the target does not take is an exception, and no more.
func TestSubscriptionRefused(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.src.do(func() { s.src.subs["Gone"] = true })
	s.dst.hook = func(verb, args string) (string, bool) {
		return "%t NO no such folder\r\n", verb == "SUBSCRIBE" || verb == "CREATE"
	}
	s.start()
	s.held("1 exception: 1 subscription")
	s.excepted("Gone 0 subscription")
	s.src.do(func() { delete(s.src.subs, "Gone") })
	s.retry()
	s.migrated()
	s.excepted()
}

// TestSubscriptionRefusedOnce: a subscription that the target did not take in a bad moment, as it said without a code, held the user for an operator.
func TestSubscriptionRefusedOnce(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	s.src.do(func() { s.src.subs["INBOX"] = true })
	var asked atomic.Int32
	s.dst.do(func() {
		s.dst.hook = func(verb, _ string) (string, bool) {
			return "%t NO the file is locked\r\n", verb == "SUBSCRIBE" && asked.Add(1) == 1
		}
	})
	s.start()
	s.migrated()
	s.excepted()
}

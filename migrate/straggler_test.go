package migrate

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// pass has the engine look for stragglers now, and waits until it has.
func (s *stage) pass() state.Record {
	s.t.Helper()
	s.await("free", func(r state.Record) bool { return r.Owner == "" && !r.LastPass.IsZero() })
	before := time.Now()
	s.retry()
	return s.await("passed", func(r state.Record) bool { return r.Owner == "" && r.LastPass.After(before) })
}

// bodies returns the folder of each body that the account holds; of one that is there more than once, all.
func (f *fake) bodies() map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string][]string{}
	for n, ff := range f.folders {
		for _, m := range ff.mail {
			all[m.body] = append(all[m.body], n)
		}
	}
	return all
}

// once demands that the target has each message of the source once, and nothing that was never there (I1).
func (s *stage) once(others ...string) {
	s.t.Helper()
	src, dst := s.src.bodies(), s.dst.bodies()
	for body := range src {
		if len(dst[body]) != 1 {
			s.t.Errorf("%q is in the target's %q, not once", body, dst[body])
		}
	}
	for body := range dst {
		if src[body] == nil && !slices.ContainsFunc(others, func(o string) bool { return strings.Contains(body, o) }) {
			s.t.Errorf("%q is in the target alone", body)
		}
	}
}

// give puts a message into a folder, which is made if need be.
func (f *fake) give(folder, flags, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ff := f.folders[folder]
	if ff == nil {
		ff = f.create(folder)
	}
	ff.add(&fakeMail{uid: ff.next, flags: flags, date: fakeDate, body: body})
}

// mixed is what may come after the switch: into old folders and new ones, with Message-ID and without.
func (s *stage) mixed() {
	s.dst.give("INBOX", "", "Subject: delivered to the target\r\n\r\n")
	for i := range 3 {
		s.src.give("INBOX", `\Flagged`, fmt.Sprintf("Message-ID: <late%d@x>\r\n\r\nlate %d\r\n", i, i))
		s.src.give("Work", "", fmt.Sprintf("Subject: no id\r\n\r\nwork %d\r\n", i))
	}
	s.src.give("Fresh \xff", "", "Message-ID: <f@x>\r\n\r\nfresh\r\n")
}

// TestStragglers: mail that the source gets after the switch is brought over once, with flags and date, above what the
// target has got meanwhile; the rows that the relay uses stay.
func TestStragglers(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.start()
	s.migrated()
	s.pass()
	before, err := s.store.Folders(s.ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	s.mixed()
	rec := s.pass()
	s.once("delivered to the target")
	if rec.Stragglers != 7 || rec.StragglersLeft != 0 || rec.LastStraggler.IsZero() || rec.Reason != "" || !rec.NextTry.After(time.Now()) {
		t.Errorf("record %+v", rec)
	}
	if m := s.dst.folders["INBOX"].mail; m[len(m)-3].flags != `\Flagged` || m[len(m)-3].date != fakeDate || m[len(m)-3].uid != 7 {
		t.Errorf("the first straggler is %+v", m[len(m)-3])
	}
	quiet := s.dst.text(true)
	if again := s.pass(); again.Stragglers != 7 || s.dst.text(true) != quiet {
		t.Errorf("another pass: %+v\n%s", again, s.dst.text(true))
	}
	after, err := s.store.Folders(s.ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]state.Folder{}
	for _, f := range after {
		f.Engine = nil
		rows[f.Name] = f
	}
	for _, f := range before {
		if f.Engine = nil; rows[f.Name].UIDNext != f.UIDNext || rows[f.Name].UIDValidity != f.UIDValidity || rows[f.Name].TargetUIDValidity != f.TargetUIDValidity {
			t.Errorf("the row %+v became %+v", f, rows[f.Name])
		}
	}
	if f := rows["Fresh \xff"]; f.UIDValidity != 0 {
		t.Errorf("the relay would translate the new folder: %+v", f)
	}
}

// passedTrouble does what pass does, and what a user and an operator do meanwhile: log in, and retry.
func (s *stage) passedTrouble() state.Record {
	s.t.Helper()
	before := time.Now()
	s.retry()
	rec := s.await("passed", func(r state.Record) bool {
		if r.Owner == "" && r.Reason != "" {
			s.engine.Offer("alice", "pass")
			s.retry()
		}
		return r.Owner == "" && r.LastPass.After(before) && r.Reason == ""
	})
	s.once("delivered to the target")
	if rec.Stragglers != 7 || rec.StragglersLeft != 0 {
		s.t.Errorf("not 7 stragglers, none of them left: %+v", rec)
	}
	s.excepted()
	return rec
}

// TestStragglersEveryInteraction lets each interaction of a pass with either server fail in turn, in every way: each
// straggler is in the target once (I1).
func TestStragglersEveryInteraction(t *testing.T) {
	run := func(t *testing.T, n int, kind string) int {
		s := small(newStage(t, batchCaps))
		s.start()
		s.migrated()
		s.pass()
		s.mixed()
		what := &trouble{n: int64(n), kind: kind}
		for _, f := range []*fake{s.src, s.dst} {
			f.do(func() { f.trouble = what })
		}
		s.passedTrouble()
		return int(what.count.Load())
	}
	count := run(t, 0, "")
	for _, kind := range troubles {
		for _, n := range testbed.Sample(t, count, 4) {
			t.Run(fmt.Sprintf("%s %d", kind, n), func(t *testing.T) {
				t.Parallel()
				run(t, n, kind)
			})
		}
	}
}

// TestStragglersEveryStoreCall lets each call to the store in a pass fail in turn, before it takes effect and after.
func TestStragglersEveryStoreCall(t *testing.T) {
	run := func(t *testing.T, n int, effect bool) int {
		s := small(newStage(t, batchCaps))
		f := &faulty{s: s.store, effect: effect}
		s.wrap = func(*boltstate.Store) Store { return f }
		s.start()
		s.migrated()
		s.pass()
		s.mixed()
		before := f.calls.Load()
		f.n.Store(before + int64(n))
		s.passedTrouble()
		return int(f.calls.Load() - before)
	}
	count := run(t, 0, false)
	for _, effect := range []bool{false, true} {
		for _, n := range testbed.Sample(t, count, 8) {
			t.Run(fmt.Sprintf("%d effect=%v", n, effect), func(t *testing.T) {
				t.Parallel()
				run(t, n, effect)
			})
		}
	}
}

// TestStragglerRefused: a straggler that the target does not take stays visible and is tried again; the others are
// brought over (I10).
func TestStragglerRefused(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.start()
	s.migrated()
	s.pass()
	s.mixed()
	var appended atomic.Int32
	s.dst.do(func() {
		s.dst.hook = func(verb, args string) (string, bool) {
			return "%t NO [CANNOT] a virus\r\n", verb == "APPEND" && strings.Contains(args, "INBOX") && appended.Add(1) == 2
		}
	})
	rec := s.pass()
	if rec.Stragglers != 6 || rec.StragglersLeft != 1 || !strings.Contains(rec.Reason, "1 stragglers could not be brought over; see imapferry exceptions alice") {
		t.Errorf("record %+v", rec)
	}
	s.excepted("INBOX 7 straggler")
	s.passedTrouble()

	s.src.give("INBOX", "", "Message-ID: <gone@x>\r\n\r\nunreadable\r\n")
	s.src.do(func() {
		s.src.hook = func(verb, args string) (string, bool) {
			return "* 9 FETCH (UID 9 FLAGS () INTERNALDATE \"" + fakeDate + "\" BODY[] NIL)\r\n%t OK done\r\n", verb == "UID FETCH" && strings.HasPrefix(args, "9") && strings.Contains(args, "BODY.PEEK[]")
		}
	})
	s.pass()
	s.excepted("INBOX 9 straggler")
	s.src.do(func() { // the old server's operator removes it
		s.src.hook = nil
		s.src.folders["INBOX"].expunge(func(m *fakeMail) bool { return m.uid == 9 })
	})
	s.passedTrouble()
}

// TestStragglersOverQuota: what concerns the whole account ends the pass and is tried again; nothing is given up.
func TestStragglersOverQuota(t *testing.T) {
	s := small(newStage(t, batchCaps))
	s.start()
	s.migrated()
	s.pass()
	s.mixed()
	s.dst.do(func() {
		s.dst.hook = func(verb, args string) (string, bool) {
			return "%t NO [OVERQUOTA] full\r\n", verb == "APPEND"
		}
	})
	s.retry()
	rec := s.await("failing", func(r state.Record) bool { return r.Attempts > 0 })
	if !strings.Contains(rec.Reason, "full") || rec.Phase != state.Migrated {
		t.Errorf("record %+v", rec)
	}
	s.dst.do(func() { s.dst.hook = nil })
	s.passedTrouble()
}

// TestStragglerWithheld: one late message whose body, or header, the old server could not give kept all that came behind it there, pass
// after pass. It is left, tells of itself, and comes when it is given (I1, I10).
func TestStragglerWithheld(t *testing.T) {
	for how, answer := range withheld {
		for _, what := range []string{"BODY.PEEK[]", "BODY.PEEK["} {
			if how == "NIL" && what != "BODY.PEEK[]" {
				continue // the body is asked for all the same
			}
			t.Run(how+" "+what, func(t *testing.T) {
				t.Parallel()
				s := small(newStage(t, batchCaps))
				s.start()
				s.migrated()
				s.pass()
				s.mixed()
				s.src.withholds(what, answer, func(folder string, uid uint32) bool {
					return folder == "INBOX" && uid == 7 || folder == "Work" && uid == 5
				})
				rec := s.pass()
				if rec.Stragglers != 5 || rec.StragglersLeft != 2 || !strings.Contains(rec.Reason, "2 stragglers could not be brought over") {
					t.Errorf("record %+v", rec)
				}
				s.excepted("INBOX 7 straggler", "Work 5 straggler")
				s.src.give("INBOX", "", "Message-ID: <behind@x>\r\n\r\nbehind\r\n")
				if rec := s.pass(); rec.Stragglers != 6 || rec.StragglersLeft != 2 {
					t.Errorf("what came behind: %+v", rec)
				}
				s.src.do(func() { s.src.hook = nil })
				s.pass()
				s.once("delivered to the target")
				s.excepted()
			})
		}
	}
}

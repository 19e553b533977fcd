package migrate

import (
	"slices"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// park waits until alice is held for mail of unknown origin, and lets it be moved aside.
func (x *crossing) park() {
	x.t.Helper()
	x.awaitPhase("alice", state.Held)
	if _, err := x.store.Park(x.ctx, "alice"); err != nil {
		x.t.Fatal(err)
	}
	if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
		x.t.Fatal(err)
	}
	x.engine.Wake("alice")
}

// bodiesIn returns the digests of a folder's messages, sorted.
func (x *crossing) bodiesIn(d *testbed.Dovecot, folder string) (sums []string) {
	x.t.Helper()
	f := x.snapshot(d, "alice").Folders[folder]
	if f == nil {
		return nil
	}
	for _, m := range f.Messages {
		sums = append(sums, m.Sum)
	}
	slices.Sort(sums)
	return sums
}

// TestPark: somebody has delivered into the target already, and does so again while the user waits for the switch. The
// operator lets that mail be moved aside; the source's messages get their UIDs, and nothing is lost (I1, I4).
func TestPark(t *testing.T) {
	eachFidelity(t, "mdbox", func(t *testing.T, x *crossing) {
		x.deliver(x.dst, "alice", "INBOX", "too early")
		x.deliver(x.dst, "alice", "INBOX", "too early again")
		x.run(x.dst, "alice", "CREATE Own")
		x.deliver(x.dst, "alice", "Own", "not in the source")
		early, own := x.bodiesIn(x.dst, "INBOX"), x.bodiesIn(x.dst, "Own")

		x.settings.HoldBudget = minHold
		x.start()
		silent, err := x.store.Join(x.ctx, "silent", time.Hour) // never acknowledges, so the cutover is called off
		if err != nil {
			t.Fatal(err)
		}
		x.engine.Offer("alice", "pass")
		x.park()
		x.await("alice", "called off", func(r state.Record) bool { return r.Phase == state.Tailing && r.Attempts > 0 && r.Owner == "" })
		x.stop()
		if got := x.bodiesIn(x.dst, parkPrefix+"INBOX"); !slices.Equal(got, early) {
			t.Errorf("moved aside from INBOX: %v, want %v", got, early)
		}
		if got := x.bodiesIn(x.dst, parkPrefix+"Own"); !slices.Equal(got, own) {
			t.Errorf("moved aside from Own: %v, want %v", got, own)
		}

		// What comes later needs no second word from the operator.
		x.deliver(x.dst, "alice", "INBOX", "later")
		x.deliver(x.dst, "alice", "Archive", "later, too")
		x.run(x.dst, "alice", "DELETE Drafts", "DELETE Sent", "CREATE Sent")
		x.deliver(x.dst, "alice", "Sent", "in another folder of that name")
		x.settings.HoldBudget = patient().HoldBudget
		x.start()
		if err := x.store.Leave(x.ctx, silent); err != nil {
			t.Fatal(err)
		}
		x.engine.Offer("alice", "pass")
		x.awaitPhase("alice", state.Migrated)
		x.await("alice", "done with stragglers", func(r state.Record) bool { return !r.LastPass.IsZero() && r.Owner == "" })
		for folder, want := range map[string]int{"INBOX": len(early) + 1, "Own": len(own), "Archive": 1, "Sent": 1} {
			if got := x.bodiesIn(x.dst, parkPrefix+folder); got != nil {
				t.Errorf("%s: %d messages are still aside", folder, len(got))
			}
			got, copied := x.bodiesIn(x.dst, folder), x.bodiesIn(x.src, folder)
			if len(got) != len(copied)+want {
				t.Errorf("%s: %d messages, want %d of the source and %d that were moved aside", folder, len(got), len(copied), want)
			}
			for _, sum := range early {
				if folder == "INBOX" && !slices.Contains(got, sum) {
					t.Error("INBOX: mail that was moved aside is not back")
				}
			}
		}
		if lines, sum := x.verify(VerifyOptions{Bodies: VerifyAll}); sum.Differences > 0 {
			t.Errorf("differences: %q", lines)
		}
	})
}

// TestParkedNames: every folder's name is told from that of its parked mail, with and without a prefix.
func TestParkedNames(t *testing.T) {
	for _, prefix := range []string{"", "INBOX."} {
		for _, f := range []string{"INBOX", prefix + "Sent", prefix + "a.b", prefix + "imapferry"} {
			p := parkedName(prefix, f)
			if back, ok := unparkedName(prefix, p); back != f || !ok {
				t.Errorf("%q: %q, and back %q %v", f, p, back, ok)
			}
		}
	}
	for _, f := range []string{"INBOX", "x.imapferry-parked-y", "imapferry-parked-", "INBOX.Sent"} {
		if back, ok := unparkedName("", f); ok {
			t.Errorf("%q is taken for parked mail of %q", f, back)
		}
	}
}

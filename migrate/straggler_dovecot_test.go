package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// pass has the engine look for stragglers now, and waits until it has.
func (x *crossing) pass() state.Record {
	x.t.Helper()
	x.await("alice", "free", func(r state.Record) bool { return r.Owner == "" && !r.LastPass.IsZero() })
	before := time.Now()
	if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
		x.t.Fatal(err)
	}
	x.engine.Wake("alice")
	return x.await("alice", "passed", func(r state.Record) bool { return r.Owner == "" && r.LastPass.After(before) })
}

// where returns in which folders a server has each message of alice's, by digest; in order.
func (x *crossing) where(addr string) map[string][]string {
	x.t.Helper()
	a, err := testbed.Snapshot(x.ctx, addr, "alice", "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	all := map[string][]string{}
	for _, n := range slices.Sorted(maps.Keys(a.Folders)) {
		for _, m := range a.Folders[n].Messages {
			all[m.Sum] = append(all[m.Sum], n)
		}
	}
	return all
}

// lateMail is a delivery whose digest is known.
func lateMail(i int, withID bool) testbed.Mail {
	id := ""
	if withID {
		id = fmt.Sprintf("Message-ID: <late%d@example.org>\r\n", i)
	}
	return testbed.Mail{Body: fmt.Sprintf("%sSubject: late %d\r\n\r\nbody %d\r\n", id, i, i), Flags: `\Flagged`, Date: fmt.Sprintf("%02d-Feb-2020 23:30:00 -0500", 1+i%9)}
}

// TestDeliveriesThroughSwitch: deliveries into the source go on through the switch and after it. Each is in the target
// exactly once (I1).
func TestDeliveriesThroughSwitch(t *testing.T) {
	eachFidelity(t, "mdbox", func(t *testing.T, x *crossing) {
		x.start()
		x.engine.Offer("alice", "pass")
		ctx, stop := context.WithCancel(x.ctx)
		var mta sync.WaitGroup
		n := 0
		mta.Go(func() {
			for ; ctx.Err() == nil; n++ {
				folder := []string{"INBOX", "Archive"}[n%2]
				if _, err := testbed.Append(x.ctx, x.src.IMAP(), "alice", "pass", folder, lateMail(n, n%3 > 0)); err != nil {
					t.Errorf("delivery %d: %v", n, err)
					return
				}
			}
		})
		x.await("alice", "passed", func(r state.Record) bool { return r.Phase == state.Migrated && !r.LastPass.IsZero() })
		stop()
		mta.Wait()
		rec := x.pass()
		src, dst := x.where(x.src.IMAP()), x.where(x.dst.IMAP())
		for sum, folders := range src {
			if !slices.Equal(folders, dst[sum]) {
				t.Errorf("a message of the source's %q is in the target's %q", folders, dst[sum])
			}
		}
		if rec.Stragglers == 0 || len(src) != len(dst) || rec.Reason != "" {
			t.Errorf("%d deliveries, source %d, target %d: %+v", n, len(src), len(dst), rec)
		}
	})
}

// TestStragglersAmongChanges: both sides have changed since the switch. What the user has done in the target stays,
// what the source has got since is in the target once.
func TestStragglersAmongChanges(t *testing.T) {
	eachFidelity(t, "mdbox", func(t *testing.T, x *crossing) {
		for i := range 4 {
			if _, err := testbed.Append(x.ctx, x.src.IMAP(), "alice", "pass", "INBOX", lateMail(100+i, i != 1)); err != nil {
				t.Fatal(err)
			}
		}
		x.run(x.src, "alice", "CREATE Doomed")
		x.start()
		x.engine.Offer("alice", "pass")
		x.awaitPhase("alice", state.Migrated)
		x.pass()
		uids := x.uids(x.src, "INBOX")
		last := uids[len(uids)-4:]

		// The user moves one message in the target, flags another, removes a folder; in the source the first two are moved
		// elsewhere by somebody, two are flagged, one is expunged, and mail arrives.
		x.run(x.dst, "alice", "SELECT INBOX", fmt.Sprintf("UID MOVE %d Junk", last[0]), fmt.Sprintf(`UID STORE %d FLAGS (\Answered)`, last[2]), "CLOSE", "DELETE Doomed")
		x.run(x.src, "alice", "CREATE Elsewhere", "CREATE Fresh", "SELECT INBOX", fmt.Sprintf("UID MOVE %d,%d Elsewhere", last[0], last[1]),
			fmt.Sprintf(`UID STORE %d,%d FLAGS (\Deleted \Draft)`, last[2], last[3]), fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, uids[0]), fmt.Sprintf("UID EXPUNGE %d", uids[0]))
		gone := x.snapshot(x.dst, "alice").Folders["INBOX"].Messages[uids[0]].Sum
		for i, folder := range []string{"Doomed", "Fresh", "INBOX"} {
			if _, err := testbed.Append(x.ctx, x.src.IMAP(), "alice", "pass", folder, lateMail(i, true)); err != nil {
				t.Fatal(err)
			}
		}
		before := x.where(x.dst.IMAP())
		rec := x.pass()
		after := x.snapshot(x.dst, "alice")
		if rec.Stragglers != 3 || rec.Reason != "" {
			t.Errorf("record %+v", rec)
		}
		where := x.where(x.dst.IMAP())
		for sum := range before {
			if !slices.Equal(before[sum], where[sum]) {
				t.Errorf("a message of %q is in %q now", before[sum], where[sum])
			}
		}
		if where[gone] == nil {
			t.Error("a message that was expunged in the source is gone from the target")
		}
		in := map[string]int{}
		for sum, folders := range where {
			if before[sum] == nil {
				in[folders[0]] += len(folders)
			}
		}
		if in["INBOX"] != 2 || in["Fresh"] != 1 || len(in) != 2 || after.Folders["Doomed"] != nil {
			t.Errorf("stragglers went to %v", in)
		}
		inbox := after.Folders["INBOX"].Messages
		if inbox[last[2]].Flags != `\Answered` || inbox[last[3]].Flags != `\Deleted \Draft` {
			t.Errorf("flags are %q, changed on both sides, and %q, in the source alone", inbox[last[2]].Flags, inbox[last[3]].Flags)
		}
		if again := x.pass(); again.Stragglers != 3 || len(testbed.Diff(after, x.snapshot(x.dst, "alice"), testbed.DiffOptions{})) > 0 {
			t.Errorf("another pass: %+v", again)
		}
	})
}

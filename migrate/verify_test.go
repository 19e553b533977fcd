package migrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/state"
)

// verify compares alice's two accounts and returns each finding as a line.
func (x *crossing) verify(ask VerifyOptions) ([]string, Summary) {
	x.t.Helper()
	var lines []string
	sum, err := x.engine.Verify(x.ctx, "alice", ask, func(d Difference) { lines = append(lines, d.String()) })
	if err != nil {
		x.t.Fatal(err)
	}
	if !sum.Complete || sum.Messages != sum.Present+sum.Missing+sum.Removed+sum.Stragglers || sum.Differences+sum.Notes != len(lines) {
		x.t.Errorf("the summary does not add up for %d lines: %+v", len(lines), sum)
	}
	return lines, sum
}

// wantLines demands exactly these lines, in any order.
func (x *crossing) wantLines(got []string, want ...string) {
	x.t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		x.t.Errorf("found:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// copied brings alice to tailing with both sides equal, and stops the workers. The engine's other services stay.
func (x *crossing) copied() {
	x.t.Helper()
	was := x.settings.HoldBudget
	x.settings.HoldBudget = minHold
	x.start()
	x.settings.HoldBudget = was                                         // of the next start
	if _, err := x.store.Join(x.ctx, "silent", time.Hour); err != nil { // never acknowledges, so the cutover is called off
		x.t.Fatal(err)
	}
	x.engine.Offer("alice", "pass")
	x.await("alice", "called off", func(r state.Record) bool { return r.Phase == state.Tailing && r.Attempts > 0 && r.Owner == "" })
	x.engine.Stop()
}

// uids returns the UIDs of a folder of alice's.
func (x *crossing) uids(d *testbed.Dovecot, folder string) []uint32 {
	x.t.Helper()
	f := x.snapshot(d, "alice").Folders[folder]
	if f == nil || len(f.Messages) == 0 {
		x.t.Fatalf("nothing in %s", folder)
	}
	return slices.Sorted(maps.Keys(f.Messages))
}

// eachFidelity runs test against a target that can be given UIDVALIDITY, and one that cannot.
func eachFidelity(t *testing.T, dstFormat string, test func(t *testing.T, x *crossing)) {
	for _, plain := range []bool{false, true} {
		t.Run(map[bool]string{false: "exact", true: "translated"}[plain], func(t *testing.T) {
			x := newCrossing(t, "maildir", dstFormat, func(x *crossing) {
				x.plain, x.master = plain, true
				if dstFormat == "maildir" {
					x.dstConfig = "mail_location = maildir:~/Maildir:LAYOUT=fs"
				}
			})
			x.seed("alice", testbed.SeedSpec{Seed: 4, NoLarge: true, Plain: true})
			test(t, x)
		})
	}
}

// TestVerifyEqual: nothing is found where there is nothing, before the switch and after it.
func TestVerifyEqual(t *testing.T) {
	eachFidelity(t, "mdbox", func(t *testing.T, x *crossing) {
		x.copied()
		lines, before := x.verify(VerifyOptions{Bodies: VerifyAll})
		x.wantLines(lines)
		if before.Phase != state.Tailing || before.BodiesRead != before.Messages || before.Messages == 0 || before.Present != before.Messages {
			t.Errorf("summary %+v", before)
		}
		if err := x.store.Close(); err != nil {
			t.Fatal(err)
		}
		x.engine = nil
		x.start()
		x.engine.Offer("alice", "pass")
		x.awaitPhase("alice", state.Migrated)
		lines, after := x.verify(VerifyOptions{})
		x.wantLines(lines)
		if after.Phase != state.Migrated || after.Messages != before.Messages || after.BodiesRead == 0 || after.BodiesRead >= after.Messages {
			t.Errorf("summary %+v", after)
		}
		if lines, sum := x.verify(VerifyOptions{From: "Sent", Bodies: VerifyNone}); len(lines) > 0 || sum.Folders >= after.Folders || sum.BodiesRead > 0 {
			t.Errorf("from Sent: %q, %+v", lines, sum)
		}
	})
}

// TestVerifyNamesDifferences plants one difference of each kind into a target that was equal.
func TestVerifyNamesDifferences(t *testing.T) {
	eachFidelity(t, "maildir", func(t *testing.T, x *crossing) {
		x.copied()
		in, arch := x.uids(x.dst, "INBOX"), x.uids(x.dst, "Archive")
		flagged, worded, gone, redated, forged := in[0], in[1], in[2], in[3], in[4]
		was := x.snapshot(x.dst, "alice").Folders["INBOX"]
		x.run(x.dst, "alice",
			"SELECT INBOX", fmt.Sprintf(`UID STORE %d FLAGS (\Answered)`, flagged), fmt.Sprintf("UID STORE %d FLAGS (Planted)", worded),
			fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, gone), fmt.Sprintf("UID EXPUNGE %d", gone),
			"UNSELECT", "UNSUBSCRIBE Sent", "SUBSCRIBE Junk", "CREATE Empty3", "CREATE Foreign", "DELETE Emptied", "CREATE Emptied", "DELETE Drafts")
		x.deliver(x.dst, "alice", "INBOX", "extra")
		x.deliver(x.dst, "alice", "Foreign", "extra")
		x.age("INBOX", redated)
		x.forge("INBOX", forged)
		x.renumber("Archive", 4711)

		now, src := x.snapshot(x.dst, "alice"), x.snapshot(x.src, "alice")
		drafts := x.uids(x.src, "Drafts")
		emptied := fmt.Sprintf(`"Emptied": uidvalidity: %d in the source, clients of the target see %d`, src.Folders["Emptied"].UIDValidity, now.Folders["Emptied"].UIDValidity)
		lines, sum := x.verify(VerifyOptions{Bodies: VerifyAll})
		x.wantLines(lines,
			fmt.Sprintf(`"INBOX": flags: uid %d: %s in the source, \Answered in the target`, flagged, orNone(was.Messages[flagged].Flags)),
			fmt.Sprintf(`"INBOX": flags: uid %d: %s in the source, Planted in the target`, worded, orNone(was.Messages[worded].Flags)),
			fmt.Sprintf(`"INBOX": missing: uid %d: not in the target`, gone),
			fmt.Sprintf(`"INBOX": extra: uid %d: in the target only`, in[len(in)-1]+1),
			fmt.Sprintf(`"INBOX": date: uid %d: %s in the source, 2001-02-03T04:05:06Z in the target`, redated, was.Messages[redated].InternalDate.UTC().Format("2006-01-02T15:04:05Z")),
			fmt.Sprintf(`"INBOX": body: uid %d: the target's message differs from the source's`, forged),
			fmt.Sprintf(`"Archive": uidvalidity: %d in the source, clients of the target see 4711`, src.Folders["Archive"].UIDValidity),
			`"Sent": subscription: subscribed in the source only`,
			`"Junk": subscription: subscribed in the target only`,
			`"Foreign": folder: not in the source; 1 messages in the target`,
			`note: "Empty3": folder: not in the source; empty in the target, as folders are that servers make themselves`,
			emptied,
			fmt.Sprintf(`"Emptied": uidnext: the target's is 1, but UIDs below %d are taken`, src.Folders["Emptied"].UIDNext),
			fmt.Sprintf(`"Drafts": folder: not in the target; %d messages in the source`, len(drafts)),
			fmt.Sprintf(`"Drafts": missing: uid %s: not in the target`, setOf(drafts)),
		)
		if sum.Missing != 1+uint64(len(drafts)) || len(arch) == 0 {
			t.Errorf("summary %+v", sum)
		}
	})
}

// TestVerifySpecialUse: a target that is configured otherwise shows clients other folders for the same purpose.
func TestVerifySpecialUse(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) {
		x.dstConfig = "namespace inbox {\n mailbox Sent {\n special_use =\n }\n mailbox Archive {\n special_use = \\Archive\n }\n}\n"
		x.settings.Allow = []string{ClassSpecialUse}
	})
	x.seed("alice", testbed.SeedSpec{Seed: 4, NoLarge: true, Plain: true})
	x.copied()
	lines, _ := x.verify(VerifyOptions{})
	x.wantLines(lines,
		`note: "Sent": special-use: \sent in the source, none in the target; recorded exception: special-use`,
		`note: "Archive": special-use: none in the source, \archive in the target`)
}

// TestVerifyMigrated: what the user does after the switch is noted, and told from what is missing. A message that comes
// into the source then has the UID that another one has in the target (I1).
func TestVerifyMigrated(t *testing.T) {
	eachFidelity(t, "mdbox", func(t *testing.T, x *crossing) {
		x.start()
		x.engine.Offer("alice", "pass")
		x.await("alice", "passed", func(r state.Record) bool { return r.Owner == "" && !r.LastPass.IsZero() })
		was := x.snapshot(x.src, "alice")
		in, sent := x.uids(x.src, "INBOX"), x.uids(x.src, "Sent")
		next := was.Folders["INBOX"].UIDNext
		x.run(x.dst, "alice",
			"SELECT INBOX", fmt.Sprintf("UID STORE %d FLAGS (Mine)", in[0]), fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, in[1]), fmt.Sprintf("UID EXPUNGE %d", in[1]),
			"UNSELECT", "CREATE New", "SUBSCRIBE New", "DELETE Sent")
		x.deliver(x.dst, "alice", "INBOX", "new")
		want := []string{
			fmt.Sprintf(`note: "INBOX": flags: uid %d: %s in the source, Mine in the target; changed in the target since the switch`, in[0], orNone(was.Folders["INBOX"].Messages[in[0]].Flags)),
			fmt.Sprintf(`note: "INBOX": removed: uid %d: in the target at the switch; deleted or moved there since`, in[1]),
			fmt.Sprintf(`note: "INBOX": extra: uid %d: new in the target since the switch`, next),
			`note: "New": folder: made in the target since the switch, or by the target itself (0 messages)`,
			`note: "New": subscription: subscribed in the target only; the user may have changed it since the switch`,
			fmt.Sprintf(`note: "Sent": folder: not in the target; %d messages in the source; it was there at the switch and has been deleted or renamed since`, len(sent)),
			fmt.Sprintf(`note: "Sent": removed: uid %s: in the target at the switch; deleted or moved there since`, setOf(sent)),
		}
		lines, sum := x.verify(VerifyOptions{Bodies: VerifyAll})
		x.wantLines(lines, want...)
		if sum.Differences != 0 || sum.Missing != 0 || sum.Removed != 1+uint64(len(sent)) {
			t.Errorf("summary %+v", sum)
		}

		// The source was to rest.
		x.deliver(x.src, "alice", "INBOX", "straggler")
		x.run(x.src, "alice", "SELECT INBOX", fmt.Sprintf("UID STORE %d FLAGS (Late)", in[2]), fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, in[3]), fmt.Sprintf("UID EXPUNGE %d", in[3]),
			"UNSELECT", "CREATE Later", "DELETE Archive/2020", "CREATE Archive/2020")
		x.deliver(x.src, "alice", "Later", "straggler")
		x.deliver(x.src, "alice", "Archive/2020", "straggler")
		again := x.snapshot(x.src, "alice").Folders["Archive/2020"].UIDValidity
		lines, sum = x.verify(VerifyOptions{Bodies: VerifyAll})
		x.wantLines(lines, append(want,
			fmt.Sprintf(`"INBOX": missing: uid %d: arrived in the source after the switch; not brought over`, next),
			fmt.Sprintf(`"INBOX": flags: uid %d: Late in the source, %s in the target`, in[2], orNone(was.Folders["INBOX"].Messages[in[2]].Flags)),
			fmt.Sprintf(`note: "INBOX": extra: uid %d: removed from the source since the switch`, in[3]),
			`"Later": folder: not in the target; 1 messages in the source`,
			`"Later": missing: uid 1: arrived in the source after the switch; not brought over`,
			fmt.Sprintf(`"Archive/2020": uidvalidity: %d in the source, which has deleted and made the folder again; the one that was copied had %d`, again, was.Folders["Archive/2020"].UIDValidity),
			`"Archive/2020": missing: uid 1: arrived in the source after the switch; not brought over`,
		)...)
		if sum.Missing != 3 {
			t.Errorf("summary %+v", sum)
		}

		// It is brought over.
		x.pass()
		lines, sum = x.verify(VerifyOptions{Bodies: VerifyAll})
		want = slices.DeleteFunc(want, func(line string) bool {
			return strings.Contains(line, "INBOX") && strings.HasSuffix(line, "new in the target since the switch")
		})
		x.wantLines(lines, append(want,
			fmt.Sprintf(`note: "INBOX": extra: uid %d:%d: new in the target since the switch`, next, next+1),
			fmt.Sprintf(`note: "INBOX": straggler: uid %d: arrived in the source after the switch; brought over, or found in the target`, next),
			fmt.Sprintf(`note: "INBOX": extra: uid %d: removed from the source since the switch`, in[3]),
			`note: "Later": straggler: uid 1: arrived in the source after the switch; brought over, or found in the target`,
			`note: "Later": extra: uid 1: new in the target since the switch`,
			fmt.Sprintf(`note: "Archive/2020": uidvalidity: %d in the source, which has deleted and made the folder again; the one that was copied had %d`, again, was.Folders["Archive/2020"].UIDValidity),
			`note: "Archive/2020": straggler: uid 1: arrived in the source after the switch; brought over, or found in the target`,
		)...)
		if sum.Missing != 0 || sum.Stragglers != 3 || sum.Differences != 0 {
			t.Errorf("summary %+v", sum)
		}
	})
}

// TestVerifyBesideWorker: a verification neither disturbs a worker nor is disturbed for long, and nothing that it opens
// is changed (I4).
func TestVerifyBesideWorker(t *testing.T) {
	eachFidelity(t, "maildir", func(t *testing.T, x *crossing) {
		x.start()
		x.engine.Offer("alice", "pass")
		runs := 0
		for x.await("alice", "known", func(state.Record) bool { return true }).Phase != state.Migrated {
			if _, err := x.engine.Verify(x.ctx, "alice", VerifyOptions{}, func(Difference) {}); err != nil {
				t.Logf("beside the worker: %v", err)
			}
			runs++
		}
		if runs == 0 {
			t.Error("the user was migrated before anything could be compared")
		}
		lines, _ := x.verify(VerifyOptions{Bodies: VerifyAll})
		x.wantLines(lines)
		x.same("alice", testbed.DiffOptions{IgnoreUIDValidity: x.plain, IgnoreModSeq: x.plain})
	})
}

// TestVerifyCannot: what makes a comparison impossible is told, and connections do not outlive it.
func TestVerifyCannot(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox")
	x.seed("alice", testbed.SeedSpec{Seed: 4, NoLarge: true, Plain: true})
	x.copied()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ignore := func(Difference) {}
	if _, err := x.engine.Verify(x.ctx, "nobody", VerifyOptions{}, ignore); !errors.Is(err, state.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := x.store.Offer(x.ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := x.engine.Verify(x.ctx, "bob", VerifyOptions{}, ignore); !errors.Is(err, backend.ErrNoSecret) || !strings.Contains(err.Error(), "log in through this node") {
		t.Errorf("without a password: %v", err)
	}
	if _, err := x.engine.Verify(x.ctx, "alice", VerifyOptions{From: "Nowhere"}, ignore); !errors.Is(err, ErrNoFolder) {
		t.Errorf("from a folder that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(x.ctx)
	at := ""
	sum, err := x.engine.Verify(ctx, "alice", VerifyOptions{At: func(folder string, i, _ int) {
		if at = folder; i == 2 {
			cancel()
		}
	}}, ignore)
	if !errors.Is(err, context.Canceled) || sum.Complete || sum.Folders != 2 || at == "" {
		t.Errorf("cancelled at %s: %v, %+v", at, err, sum)
	}
	if _, rest := x.verify(VerifyOptions{From: at}); rest.Folders == 0 {
		t.Errorf("going on: %+v", rest)
	}
	if err := x.dst.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := x.engine.Verify(x.ctx, "alice", VerifyOptions{}, ignore); err == nil {
		t.Error("compared with a target that is down")
	}
}

package migrate

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// listed returns the names of all folders that alice's account lists, those in name only included.
func (x *crossing) listed(addr string) (names []string) {
	x.t.Helper()
	a, err := testbed.Snapshot(x.ctx, addr, "alice", "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	for n := range a.Folders {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// shelled makes a crossing from a Dovecot that keeps folders in name only.
func shelled(t *testing.T, dst func(*testbed.Bed) (server, error)) (x *crossing, target string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	bed := testbed.ForTest(t)
	src, err := bed.Dovecot(testbed.DovecotOptions{Format: "mdbox"})
	if err != nil {
		t.Fatal(err)
	}
	to, err := dst(bed)
	if err != nil {
		t.Fatal(err)
	}
	return &crossing{t: t, ctx: ctx, src: src, settings: patient(), plain: true, path: filepath.Join(testbed.InMemory(t), "state.db")}, to.IMAP()
}

// looked starts an engine that does not switch, and stops it when it has brought over all that there is.
func (x *crossing) looked(target string) {
	x.t.Helper()
	x.settings.Cutover = CutoverManual
	x.intoServer(target)
	before, err := x.store.Get(x.ctx, "alice")
	if err == nil {
		x.retry()
	}
	x.engine.Offer("alice", "pass")
	x.await("alice", "ready", func(r state.Record) bool {
		if r.Phase == state.Held || r.Attempts > 0 {
			x.t.Fatalf("alice is not moved: %s", r.Reason)
		}
		return strings.HasPrefix(r.Reason, "ready") && r.Owner == "" && r.Epoch > before.Epoch
	})
	x.stop()
}

// TestShellsGo: folders in name only that are gone at the source are gone in the target too, whichever worker finds it, and no
// others: neither the operator's own nor what lies above such a one (I2, I4).
func TestShellsGo(t *testing.T) {
	for name, start := range map[string]func(*testbed.Bed) (server, error){
		"maildir": dovecotWith(testbed.DovecotOptions{}),
		"fs":      dovecotWith(testbed.DovecotOptions{ExtraConfig: "mail_location = maildir:~/Maildir:LAYOUT=fs\n"}),
		"mdbox":   dovecotWith(testbed.DovecotOptions{Format: "mdbox"}),
		"cyrus":   cyrus, // makes real folders of them
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, target := shelled(t, start)
			source := x.src.IMAP()
			commands(t, x.ctx, target, "CREATE Theirs/Below", "DELETE Theirs/Below", "CREATE Own/Sub")
			commands(t, x.ctx, source, "CREATE A/B/C", "CREATE A/B/D", "CREATE Bare/", "CREATE Was", "CREATE Was/Sub", "CREATE Own/Sub/New", "CREATE Kept/Sub", "CREATE Late/Sub", "CREATE Above/Sub")
			for range 3 {
				if _, err := testbed.Append(x.ctx, source, "alice", "pass", "Was", testbed.Mail{Body: "Subject: once\r\n\r\n"}); err != nil {
					t.Fatal(err)
				}
			}
			theirs := append(x.listed(target), "Above", "Above/Mine")
			x.looked(target)
			if got, want := x.listed(target), x.listed(source); name != "maildir" && !contains(got, want) {
				t.Errorf("the target lists %q, the source %q", got, want)
			}
			commands(t, x.ctx, target, "CREATE Above/Mine")
			commands(t, x.ctx, source, "DELETE A/B/C", "DELETE Was", "DELETE Bare", "DELETE Own/Sub/New", "DELETE Own/Sub", "DELETE Own", "DELETE Above/Sub", "DELETE Above")
			x.looked(target)
			commands(t, x.ctx, source, "DELETE A/B/D", "DELETE A/B", "DELETE A", "DELETE Was/Sub", "DELETE Was")
			x.settings.Cutover = CutoverLive
			x.wrap = func(b *boltstate.Store) Store {
				return &eventful{Store: b, before: func() {}, held: func() { commands(t, x.ctx, source, "DELETE Late/Sub", "DELETE Late") }}
			}
			x.intoServer(target)
			x.engine.Offer("alice", "pass")
			x.awaitPhase("alice", state.Migrated)
			want := slices.Concat(theirs, x.listed(source))
			slices.Sort(want)
			if got := x.listed(target); !slices.Equal(got, slices.Compact(want)) {
				t.Errorf("the target lists %q, want %q", got, want)
			}
		})
	}
}

func contains(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// TestShellWithMail: what a target made as a folder that can be opened, for the sake of others, and what has got mail since, stays,
// and holds the user when the next worker finds it (I4).
func TestShellWithMail(t *testing.T) {
	for _, held := range []bool{false, true} {
		x, target := shelled(t, cyrus)
		commands(t, x.ctx, x.src.IMAP(), "CREATE A/B")
		change := func() {
			if _, err := testbed.Append(x.ctx, target, "alice", "pass", "A", testbed.Mail{Body: "Subject: theirs\r\n\r\n"}); err != nil {
				t.Error(err)
			}
			commands(t, x.ctx, x.src.IMAP(), "DELETE A/B", "DELETE A")
		}
		if held {
			x.looked(target)
			change()
		} else {
			x.wrap = func(b *boltstate.Store) Store { return &eventful{Store: b, before: change, held: func() {}} }
		}
		x.settings.Cutover = CutoverLive
		x.intoServer(target)
		x.engine.Offer("alice", "pass")
		if held {
			x.held("alice", "target folder \"A\" holds mail of unknown origin (1 messages)")
		} else {
			x.awaitPhase("alice", state.Migrated)
		}
		if got := x.listed(target); !slices.Contains(got, "A") {
			t.Errorf("the target lists %q", got)
		}
	}
}

// TestShellAfterSwitch: mail that comes after the switch into what was a folder in name only goes where it came to, and is not taken
// for that of a folder that the user has removed.
func TestShellAfterSwitch(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("Above/Sub", 1)
	s.start()
	s.migrated()
	s.pass()
	s.src.do(func() { s.src.create("Above") })
	var lines []string
	_, err := s.engine.Verify(s.ctx, "alice", VerifyOptions{}, func(d Difference) { lines = append(lines, d.String()) })
	if all := strings.Join(lines, "\n"); err != nil || !strings.Contains(all, "made in the source since the switch") {
		t.Errorf("verify: %v\n%s", err, all)
	}
	s.src.give("Above", "", "Message-ID: <late@x>\r\n\r\nlate\r\n")
	s.pass()
	if ff := s.dst.folders["Above"]; ff == nil || len(ff.mail) != 1 {
		t.Errorf("the target has\n%s", s.dst.text(false))
	}
}

// TestShellRenamed: a folder with a folder in name only below it is renamed in the target when it is in the source, not copied anew.
func TestShellRenamed(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("Work", 1)
	s.src.deliver("Work/Only/Sub", 1)
	s.wrap = func(b *boltstate.Store) Store {
		return &eventful{Store: b, before: func() { s.src.do(func() { s.src.rename("Work", "Play") }) }, held: func() {}}
	}
	s.dst.hook = func(verb, args string) (string, bool) {
		if verb == "APPEND" && strings.Contains(args, "Play") {
			t.Errorf("copied anew: %s", args)
		}
		return "", false
	}
	s.start()
	s.migrated()
}

package migrate

import (
	"slices"
	"strings"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
)

func TestExcludes(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"Spam", "Spam", true}, {"Spam", "Spam/old", false}, {"Spam", "spam", false}, {"Spam", "Spa", false}, {"Spam", "Spams", false},
		{"Spam*", "Spam/old", true}, {"Spam/*", "Spam", false}, {"Spam%", "Spam/old", false}, {"Spam%", "Spam.old", true},
		{"%/old", "Spam/old", true}, {"%/old", "Spam/very/old", false}, {"*/old", "Spam/very/old", true}, {"*", "", true}, {"%%", "a", true},
		{"Entwürfe", "Entw&APw-rfe", true}, {"*ü*", "Entw&APw-rfe", true}, {"raw \xff", "raw \xff", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false},
		{"inbox/x", "INBOX/x", false}, {"a?", "ab", false},
	} {
		if got := excludes(test.pattern, test.name, '/'); got != test.want {
			t.Errorf("excludes(%q, %q) = %v; want %v", test.pattern, test.name, got, test.want)
		}
	}
	long := strings.Repeat("a", 10_000)
	if excludes(strings.Repeat("a*", 200)+"b", long, '/') {
		t.Error("a long name matches")
	}
	s := DefaultSettings()
	s.Exclude = []string{"Spam", `\all`, `\Everything`, "*", "inbox", ""}
	if err := s.Validate(); err == nil || strings.Count(err.Error(), "migrate.exclude: ") != 4 {
		t.Errorf("got %v; want four errors", err)
	}
}

func TestSharedNamespace(t *testing.T) {
	cyrus := layout{own: []string{"INBOX."}, others: []string{"user.", ""}}
	dovecot := layout{own: []string{"", "virtual/"}, others: []string{"shared/"}}
	for _, test := range []struct {
		in   layout
		name string
		want bool
	}{
		{cyrus, "INBOX", false}, {cyrus, "INBOX.a", false}, {cyrus, "user", true}, {cyrus, "user.bob", true}, {cyrus, "public", true},
		{dovecot, "a", false}, {dovecot, "shared", true}, {dovecot, "shared/a", true}, {dovecot, "shareda", false}, {dovecot, "virtual/all", false},
		{layout{}, "a", false},
	} {
		if _, got := test.in.shared(test.name); got != test.want {
			t.Errorf("%+v: %q is shared: %v; want %v", test.in, test.name, got, test.want)
		}
	}
}

const namespaces = `
namespace public {
  type = public
  separator = /
  prefix = Public/
  location = maildir:~/public
  list = yes
}
namespace inbox {
  mailbox Everything {
    special_use = \All
  }
}
`

// TestLeftOut: folders that the configuration names, and those that are not the user's own, are left alone on both sides, and
// counted (I10).
func TestLeftOut(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) {
		x.srcConfig, x.dstConfig = namespaces, namespaces
		x.settings.Exclude = []string{"Spam*", `\All`}
	})
	x.run(x.src, "alice", "CREATE Everything", "CREATE Spam", "CREATE Spam/old", "SUBSCRIBE Spam", "CREATE Work", "CREATE Public/Notes", "SUBSCRIBE Public/Notes")
	for _, folder := range []string{"INBOX", "Everything", "Spam/old", "Work", "Public/Notes"} {
		x.deliver(x.src, "alice", folder, "mail of "+folder)
	}
	x.run(x.dst, "alice", "CREATE Spam", "CREATE Public/Theirs", "CREATE Everything")
	for _, folder := range []string{"Spam", "Public/Theirs", "Everything"} {
		x.deliver(x.dst, "alice", folder, "the target's own")
	}
	before := x.snapshot(x.dst, "alice")
	x.start()
	x.engine.Offer("alice", "pass")
	if rec := x.awaitPhase("alice", state.Migrated); rec.Excluded != 4 || rec.Messages != 2 {
		t.Errorf("%d folders left out, %d messages; want 4, 2", rec.Excluded, rec.Messages)
	}
	src, dst := x.snapshot(x.src, "alice"), x.snapshot(x.dst, "alice")
	for name, f := range dst.Folders {
		was := before.Folders[name]
		if slices.Contains([]string{"Spam", "Public/Theirs", "Everything"}, name) && (f.UIDValidity != was.UIDValidity || len(f.Messages) != len(was.Messages)) {
			t.Errorf("%s has changed: %+v", name, f)
		}
	}
	if dst.Folders["Public/Notes"] != nil || dst.Folders["Spam/old"] != nil {
		t.Error("a folder that is left out was copied")
	}
	if len(dst.Folders["Work"].Messages) != 1 || dst.Folders["Work"].UIDValidity != src.Folders["Work"].UIDValidity {
		t.Errorf("Work: %+v", dst.Folders["Work"])
	}
}

// TestLeftOutLater: a folder that was copied before it was left out stays, and keeps nobody from being switched.
func TestLeftOutLater(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.deliver("INBOX", 1)
	s.src.deliver("Spam", 1, 2)
	s.dst.hook = func(verb, args string) (string, bool) { // nothing gets past the tail
		return "%t NO [INUSE] later\r\n", verb == "SUBSCRIBE"
	}
	s.src.do(func() { s.src.subs["INBOX"] = true })
	s.start()
	s.failing("later")
	s.stop()
	s.src.deliver("Spam", 3)
	s.settings.Exclude = []string{"Spam"}
	s.dst.do(func() { s.dst.hook = nil })
	s.start()
	s.await("migrated", func(r state.Record) bool { return r.Phase == state.Migrated })
	if text := s.dst.text(false); !strings.Contains(text, `"Spam" next 3`) {
		t.Errorf("target:\n%s", text)
	}
	if !strings.Contains(s.log.String(), "stays in the target as it is") {
		t.Error("nobody was told")
	}
}

// TestLeftOutAtTargetOnly: a folder of the source that has the name of one that the target keeps for others is nothing to
// write into.
func TestLeftOutAtTargetOnly(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.dstConfig = namespaces })
	x.run(x.src, "alice", "CREATE Public/Mine")
	x.start()
	x.engine.Offer("alice", "pass")
	x.held("alice", `"Public/Mine" of the source cannot be copied`)
	if x.snapshot(x.dst, "alice").Folders["Public/Mine"] != nil {
		t.Error("it was made")
	}
}

// TestVerifyLeftOut: a verification tells how many folders each rule leaves out.
func TestVerifyLeftOut(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) {
		x.srcConfig, x.master = namespaces, true
		x.settings.Exclude = []string{"Spam*"}
	})
	x.seed("alice", testbed.SeedSpec{Seed: 4, NoLarge: true, Plain: true})
	x.run(x.src, "alice", "CREATE Spam", "CREATE Spam/old", "CREATE Public/Notes")
	x.start()
	x.engine.Offer("alice", "pass")
	x.awaitPhase("alice", state.Migrated)
	lines, _ := x.verify(VerifyOptions{})
	for _, want := range []string{`note: excluded: exclude "Spam*" leaves out 2 folders of the source`, `note: excluded: namespace "Public/" leaves out 1 folders of the source`} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in %q", want, lines)
		}
	}
}

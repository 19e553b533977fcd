package migrate

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// server is what a test needs to know of a server.
type server interface{ IMAP() string }

// pairOf makes a crossing between two servers of which the target is a Dovecot.
func pairOf(t *testing.T, src func(*testbed.Bed) (server, error), dst testbed.DovecotOptions) (x *crossing, source string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	bed := testbed.ForTest(t)
	from, err := src(bed)
	if err != nil {
		t.Fatal(err)
	}
	dst.Doveadm = true
	to, err := bed.Dovecot(dst)
	if err != nil {
		t.Fatal(err)
	}
	return &crossing{t: t, ctx: ctx, dst: to, settings: patient()}, from.IMAP()
}

func dovecotWith(opt testbed.DovecotOptions) func(*testbed.Bed) (server, error) {
	return func(b *testbed.Bed) (server, error) { return b.Dovecot(opt) }
}

func cyrus(b *testbed.Bed) (server, error) {
	return b.Cyrus(testbed.CyrusOptions{AltNamespace: true, Separator: "/"})
}

// answers returns what a server says to a command of alice's, without what comes after the values.
func answers(t *testing.T, ctx context.Context, addr, command string) string {
	t.Helper()
	c, err := testbed.Login(ctx, addr, "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	responses, err := c.Do(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var words []string
	var add func([]testbed.Value)
	add = func(values []testbed.Value) {
		for _, v := range values {
			if v.Text != "" {
				words = append(words, v.Text)
			}
			add(v.List)
		}
	}
	for _, r := range responses {
		add(r.Values)
	}
	return strings.Join(words, " ")
}

// exceptions returns alice's exceptions of a class, as folder and text.
func (x *crossing) exceptions(class string) (all []string) {
	x.t.Helper()
	list, err := x.store.Exceptions(x.ctx, "alice", "", 100)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range list {
		if e.Class == class {
			all = append(all, e.Folder+": "+e.Text)
		}
	}
	return all
}

// TestACL: others have the same rights on the target's folders as on the source's; what the target refuses is an exception (I10).
func TestACL(t *testing.T) {
	plugins := testbed.DovecotOptions{Plugins: true}
	for name, src := range map[string]func(*testbed.Bed) (server, error){"dovecot": dovecotWith(plugins), "cyrus": cyrus} {
		t.Run(name, func(t *testing.T) {
			x, source := pairOf(t, src, plugins)
			commands(t, x.ctx, source, "CREATE Shared", "CREATE Mine", "SETACL Shared bob lrswi", "SETACL Shared -bob w")
			x.startFrom(source)
			x.awaitPhase("alice", state.Migrated)
			got := answers(t, x.ctx, x.dst.IMAP(), "GETACL Shared")
			if !strings.Contains(got, "bob ilrws") || !strings.Contains(got, "-bob w") {
				t.Errorf("rights at the target: %s", got)
			}
			if got := answers(t, x.ctx, x.dst.IMAP(), "GETACL Mine"); strings.Contains(got, "bob") {
				t.Errorf("rights at the target: %s", got)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		x, source := pairOf(t, cyrus, plugins)
		commands(t, x.ctx, source, "CREATE Shared", "SETACL Shared anyone lr")
		x.startFrom(source)
		x.held("alice", "1 acl")
		if got := x.exceptions(ClassACL); len(got) != 1 || !strings.HasPrefix(got[0], `Shared: lr for "anyone": `) {
			t.Errorf("exceptions %q", got)
		}
		commands(t, x.ctx, source, "DELETEACL Shared anyone")
		x.retry()
		x.awaitPhase("alice", state.Migrated)
		if got := x.exceptions(ClassACL); len(got) != 0 {
			t.Errorf("exceptions %q", got)
		}
	})
}

// retry does what an operator does after mending what the reason named.
func (x *crossing) retry() {
	x.t.Helper()
	if _, err := x.store.Retry(x.ctx, "alice"); err != nil {
		x.t.Fatal(err)
	}
	x.engine.Wake("alice")
}

// TestMetadata: annotations of folders are equal at the target; one that is too long is an exception (I10).
func TestMetadata(t *testing.T) {
	x, source := pairOf(t, dovecotWith(testbed.DovecotOptions{ExtraConfig: "imap_max_line_length = 1M\n"}), testbed.DovecotOptions{})
	odd := "line\r\nend \"quoted\" \xc3\xbc"
	commands(t, x.ctx, source, "CREATE Work", `SETMETADATA "" (/private/comment "all" /private/vendor/x "all")`, `SETMETADATA Work (/shared/vendor/kolab/folder-type "event.default" /private/comment "mine")`, `SETMETADATA INBOX (/private/comment "in")`)
	set(t, x.ctx, source, "Work", "/private/odd", odd)
	set(t, x.ctx, source, "Work", "/private/long", strings.Repeat("x", maxEntry+1))
	x.startFrom(source)
	x.held("alice", "1 metadata")
	if got := x.exceptions(ClassMetadata); !slices.Equal(got, []string{"Work: an entry is longer than 65536 bytes"}) {
		t.Errorf("exceptions %q", got)
	}
	x.stop()
	x.settings.Allow = []string{ClassMetadata}
	x.startAgain(source)
	x.awaitPhase("alice", state.Migrated)
	for _, entry := range []string{"/private/comment", "/private/vendor/x"} {
		if got := answers(t, x.ctx, x.dst.IMAP(), `GETMETADATA "" `+entry); got != "METADATA "+entry+" all" {
			t.Errorf("the account has %q", got)
		}
	}
	for _, folder := range []string{"Work", "INBOX"} {
		ask := "GETMETADATA (MAXSIZE 1000 DEPTH infinity) " + folder + " (/private /shared)"
		was, is := answers(t, x.ctx, source, ask), answers(t, x.ctx, x.dst.IMAP(), ask)
		was, _, _ = strings.Cut(was, " METADATA LONGENTRIES")
		if is, _, _ = strings.Cut(is, " Getmetadata"); !strings.HasPrefix(was, is) || !strings.Contains(is, "METADATA "+folder) {
			t.Errorf("%s at the source:\n%s\nat the target:\n%s", folder, was, is)
		}
	}
}

func set(t *testing.T, ctx context.Context, addr, folder, entry, value string) {
	t.Helper()
	c, err := testbed.Login(ctx, addr, "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do("SETMETADATA "+folder+" ("+entry+" ", testbed.Quote(value), ")"); err != nil {
		t.Fatal(err)
	}
}

// TestSpecialUse: a folder has the same special use at the target, or the user is held, because clients would take another folder
// for it (I2).
func TestSpecialUse(t *testing.T) {
	archive := testbed.DovecotOptions{ExtraConfig: "namespace inbox {\n mailbox Old {\n special_use = \\Archive\n }\n}\n"}
	t.Run("not to be set", func(t *testing.T) {
		x, source := pairOf(t, cyrus, testbed.DovecotOptions{})
		commands(t, x.ctx, source, `CREATE Old (USE (\Archive))`)
		x.startFrom(source)
		x.held("alice", "1 special-use")
		if got := x.exceptions(ClassSpecialUse); len(got) != 1 || !strings.HasPrefix(got[0], `Old: \archive in the source, none in the target`) {
			t.Errorf("exceptions %q", got)
		}
		x.stop()
		x.settings.Allow = []string{ClassSpecialUse}
		x.startAgain(source)
		x.awaitPhase("alice", state.Migrated)
	})
	t.Run("configured", func(t *testing.T) {
		x, source := pairOf(t, cyrus, archive)
		commands(t, x.ctx, source, `CREATE Old (USE (\Archive))`)
		x.startFrom(source)
		x.awaitPhase("alice", state.Migrated)
	})
}

// TestQuota: a user who does not fit into the target is held before anything is written, with both figures.
func TestQuota(t *testing.T) {
	small := testbed.DovecotOptions{Plugins: true, ExtraConfig: "plugin {\n quota_rule = *:storage=1M:messages=20\n}\n"}
	for _, test := range []struct {
		name     string
		src      func(*testbed.Bed) (server, error)
		messages int
		size     int
		want     string
	}{
		{"storage", dovecotWith(testbed.DovecotOptions{}), 3, 500 << 10, "storage to copy: 1536"},
		{"storage, counted", func(b *testbed.Bed) (server, error) { return b.Courier(testbed.CourierOptions{}) }, 3, 500 << 10, "storage to copy: 15"},
		{"messages", dovecotWith(testbed.DovecotOptions{}), 21, 10, "messages to copy: 21, messages left: 20 of 20"},
	} {
		t.Run(test.name, func(t *testing.T) {
			x, source := pairOf(t, test.src, small)
			body := "Subject: filler\r\n\r\n" + strings.Repeat("0123456789abcd\r\n", test.size/16)
			for range test.messages {
				if _, err := testbed.Append(x.ctx, source, "alice", "pass", "INBOX", testbed.Mail{Body: body}); err != nil {
					t.Fatal(err)
				}
			}
			x.startFrom(source)
			x.held("alice", test.want)
			if got := snapshotOf(t, x.ctx, x.dst.IMAP()); got.Messages() != 0 {
				t.Errorf("%d messages were copied", got.Messages())
			}
		})
	}
}

package testbed

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a seeded account holds is read back the same, and survives a crash of
// the server.
func TestSeedAndSnapshot(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	for _, test := range []struct{ format, separator, prefix string }{{"maildir", "/", ""}, {"mdbox", "/", ""}, {"maildir", ".", "INBOX."}} {
		t.Run(test.format+test.separator, func(t *testing.T) {
			t.Parallel()
			d := dovecot(t, DovecotOptions{Format: test.format, Separator: test.separator, Prefix: test.prefix})
			t.Logf("refused: %q", seed(t, d, "alice", SeedSpec{Seed: 1}))
			a := snapshot(t, d, "alice")
			same(t, a, snapshot(t, d, "alice"), DiffOptions{})
			in := func(levels ...string) string { return namespace{test.prefix, test.separator}.path(levels...) }
			for _, name := range []string{"INBOX", in("Archive", "2019", "Q1"), in("&U,BTFw-"), in(`quo"te`), in("100%"), in("Emptied")} {
				if f := a.Folders[name]; f == nil || f.UIDNext < 2 {
					t.Errorf("folder %q: %+v", name, f)
				}
			}
			if !slices.Contains(a.Subscribed, in("Gone away")) || a.Folders[in("Gone away")] != nil {
				t.Errorf("subscriptions %q lack the one of a folder that is gone", a.Subscribed)
			}
			if err := d.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := d.Start(); err != nil {
				t.Fatal(err)
			}
			same(t, a, snapshot(t, d, "alice"), DiffOptions{})
		})
	}
}

// Two users' mailboxes are never alike, or the product would take them for one.
func TestSeedDiffersByUserAndSeed(t *testing.T) {
	tests := []struct {
		user string
		seed uint64
	}{{"alice", 1}, {"bob", 1}, {"alice", 2}}
	seen := map[string]bool{}
	for _, test := range tests {
		m, again := newWriter(test.seed, test.user).mail(500), newWriter(test.seed, test.user).mail(500)
		if m != again {
			t.Errorf("%v: not deterministic", test)
		}
		for _, mark := range []string{m.Date, m.Body} {
			if seen[mark] {
				t.Errorf("%v: %q is not new", test, mark)
			}
			seen[mark] = true
		}
	}
}

func TestBulk(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{Format: "mdbox"})
	spec := BulkSpec{Messages: 2000, Folders: 5, Missing: 0.2, MedianSize: 1000}
	began := time.Now()
	stats, err := Bulk(t.Context(), d.IMAP(), "alice", "pass", spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v in %s", stats, time.Since(began))
	a := snapshot(t, d, "alice")
	if len(a.Folders) != spec.Folders || a.Messages() != spec.Messages || stats.Messages != spec.Messages {
		t.Errorf("%d messages in %d folders, %d reported; want %d in %d",
			a.Messages(), len(a.Folders), stats.Messages, spec.Messages, spec.Folders)
	}
	if share := float64(stats.Expunged) / float64(stats.Expunged+stats.Messages); share < 0.17 || share > 0.23 {
		t.Errorf("share of missing UIDs is %.2f; want 0.2", share)
	}
	for name, f := range a.Folders {
		if highest := slices.Max(slices.Collect(maps.Keys(f.Messages))); f.UIDNext <= highest || len(f.Messages) == int(highest) {
			t.Errorf("%s: %d messages, highest uid %d, UIDNEXT %d", name, len(f.Messages), highest, f.UIDNext)
		}
	}
}

func seed(t *testing.T, d *Dovecot, user string, spec SeedSpec) (refused []string) {
	t.Helper()
	refused, err := Seed(t.Context(), d.IMAP(), user, "pass", spec)
	if err != nil {
		t.Fatal(err)
	}
	return refused
}

func snapshot(t *testing.T, d *Dovecot, user string) *Account {
	t.Helper()
	a, err := Snapshot(t.Context(), d.IMAPS(), user, "pass", WithCA(d.CertFile))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func deliver(t *testing.T, d *Dovecot, user, folder string, m Mail) uint32 {
	t.Helper()
	uid, err := Append(t.Context(), d.IMAP(), user, "pass", folder, m)
	if err != nil || uid == 0 {
		t.Fatalf("append: uid %d, %v", uid, err)
	}
	return uid
}

func login(t *testing.T, d *Dovecot, user string) *Client {
	t.Helper()
	c, err := Login(t.Context(), d.IMAP(), user, "pass")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func do(t *testing.T, c *Client, parts ...any) []Response {
	t.Helper()
	all, err := c.Do(parts...)
	if err != nil {
		t.Fatalf("%v: %v", parts, err)
	}
	return all
}

func same(t *testing.T, a, b *Account, opt DiffOptions) {
	t.Helper()
	if lines := Diff(a, b, opt); lines != nil {
		t.Errorf("the accounts differ:\n%s", strings.Join(lines, "\n"))
	}
}

// wantLines wants each line of got to begin with its counterpart.
func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

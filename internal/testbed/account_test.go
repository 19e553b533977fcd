package testbed

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSeedAndSnapshot(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	for _, format := range []string{"maildir", "mdbox"} {
		t.Run(format, func(t *testing.T) {
			bed := ForTest(t)
			d, err := bed.Dovecot(DovecotOptions{Format: format})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			refused, err := Seed(t.Context(), d.IMAP(), "alice", "pass", SeedSpec{Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("seeded in %s, refused: %q", time.Since(began), refused)
			began = time.Now()
			a := snapshot(t, d, "alice")
			t.Logf("snapshot of %d messages in %d folders took %s", a.Messages(), len(a.Folders), time.Since(began))
			if lines := Diff(a, snapshot(t, d, "alice"), DiffOptions{}); lines != nil {
				t.Errorf("second snapshot differs:\n%s", strings.Join(lines, "\n"))
			}
			for name, f := range a.Folders {
				t.Logf("%q %v uv=%d next=%d n=%d", name, f.Attrs, f.UIDValidity, f.UIDNext, len(f.Messages))
			}
			for uid, m := range a.Folders["Old dates"].Messages {
				t.Log(uid, m.InternalDate.UTC())
			}
			t.Logf("%q", a.Subscribed)
			if !slices.Contains(a.Subscribed, "Gone away") {
				t.Errorf("subscriptions %q lack the one of a folder that is gone", a.Subscribed)
			}
		})
	}
}

func snapshot(t *testing.T, d *Dovecot, user string) *Account {
	t.Helper()
	a, err := Snapshot(t.Context(), d.IMAPS(), user, "pass", WithCA(d.CertFile))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

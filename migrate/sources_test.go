package migrate

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// TestSources moves accounts from servers that are no Dovecot: Cyrus, and Courier, which has no CONDSTORE, LIST-STATUS,
// LITERAL+ nor UIDNEXT in SELECT, and answers NO to what it does not know. The target is configured so that names are equal (I2).
func TestSources(t *testing.T) {
	type source interface{ IMAP() string }
	tests := []struct {
		name              string
		start             func(*testbed.Bed) (source, error)
		separator, prefix string // of the target
	}{
		{"cyrus", func(b *testbed.Bed) (source, error) { return b.Cyrus(testbed.CyrusOptions{}) }, ".", "INBOX."},
		{"cyrus with altnamespace", func(b *testbed.Bed) (source, error) {
			return b.Cyrus(testbed.CyrusOptions{AltNamespace: true, Separator: "/"})
		}, "/", ""},
		{"courier", func(b *testbed.Bed) (source, error) { return b.Courier(testbed.CourierOptions{}) }, ".", "INBOX."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			bed := testbed.ForTest(t)
			src, err := test.start(bed)
			if err != nil {
				t.Fatal(err)
			}
			dst, err := bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Doveadm: true, Separator: test.separator, Prefix: test.prefix})
			if err != nil {
				t.Fatal(err)
			}
			spec := testbed.BulkSpec{Seed: 4, Messages: 200, Folders: 5, Missing: 0.2}
			if _, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", spec); err != nil {
				t.Fatal(err)
			}
			moveFrom(t, ctx, src.IMAP(), dst)
			diffAccounts(t, ctx, src.IMAP(), dst.IMAP())
		})
	}
}

// moveFrom moves alice to dst and waits until she is migrated.
func moveFrom(t *testing.T, ctx context.Context, source string, dst *testbed.Dovecot) {
	t.Helper()
	store, err := boltstate.Open(filepath.Join(t.TempDir(), "state.db"), boltstate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	x := &crossing{t: t, ctx: ctx, store: store}
	from := backend.Defaults()
	from.URL = "imap://" + source
	old, err := backend.New("source", from)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := New(Config{
		Settings: DefaultSettings(), Source: old, Target: x.backend("target", dst), Store: store, Owner: "test",
		TargetSettings: TargetSettings{Adapter: "auto", DoveadmURL: dst.DoveadmURL(), DoveadmAPIKey: backend.Secret(dst.APIKey)},
		Log:            slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	engine.Start(ctx)
	defer engine.Stop()
	engine.Offer("alice", "pass")
	if rec := x.awaitPhase("alice", state.Migrated); rec.Fidelity != state.Exact {
		t.Errorf("fidelity %s, want exact", rec.Fidelity)
	}
}

func diffAccounts(t *testing.T, ctx context.Context, source, target string) {
	t.Helper()
	var both [2]*testbed.Account
	for i, addr := range []string{source, target} {
		var err error
		if both[i], err = testbed.Snapshot(ctx, addr, "alice", "pass"); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range testbed.Diff(both[0], both[1], testbed.DiffOptions{UIDNextNotLower: true, IgnoreModSeq: true}) {
		t.Errorf("source != target: %s", line)
	}
}

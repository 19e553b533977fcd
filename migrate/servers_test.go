package migrate

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
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
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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
			x := moveFrom(t, ctx, src.IMAP(), dst)
			diffAccounts(t, ctx, src.IMAP(), dst.IMAP())
			x.lateFrom(src.IMAP(), test.prefix+"Late")
		})
	}
}

// lateFrom delivers into the source after the switch: into INBOX, where a message is moved away, too, and into a new
// folder. The target gets what is new, once.
func (x *crossing) lateFrom(source, folder string) {
	x.t.Helper()
	x.pass()
	c, err := testbed.Login(x.ctx, source, "alice", "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	for _, cmd := range []string{"CREATE " + folder, "SELECT INBOX", "COPY 1 " + folder, `STORE 1 +FLAGS (\Deleted)`, "EXPUNGE"} {
		if _, err := c.Do(cmd); err != nil {
			x.t.Fatalf("%s: %v", cmd, err)
		}
	}
	for i := range 60 { // more than a batch
		if _, err := c.Append([]string{"INBOX", folder}[i%2], lateMail(i, i%3 > 0)); err != nil {
			x.t.Fatal(err)
		}
	}
	before := x.where(x.dst.IMAP())
	if rec := x.pass(); rec.Stragglers != 60 || rec.Reason != "" {
		x.t.Errorf("record %+v", rec)
	}
	src, dst := x.where(source), x.where(x.dst.IMAP())
	for sum, in := range src {
		if want := before[sum]; want != nil && !slices.Equal(want, dst[sum]) || want == nil && !slices.Equal(in, dst[sum]) {
			x.t.Errorf("a message of the source's %q is in the target's %q, was in %q", in, dst[sum], want)
		}
	}
	if len(dst) != len(src) {
		x.t.Errorf("%d messages in the target, %d in the source", len(dst), len(src))
	}
}

// moveFrom moves alice to dst and waits until she is migrated.
func moveFrom(t *testing.T, ctx context.Context, source string, dst *testbed.Dovecot) *crossing {
	t.Helper()
	x := &crossing{t: t, ctx: ctx, dst: dst, settings: patient()}
	x.startFrom(source)
	if rec := x.awaitPhase("alice", state.Migrated); rec.Fidelity != state.Exact {
		t.Errorf("fidelity %s, want exact", rec.Fidelity)
	}
	return x
}

// startFrom moves alice from a server that need not be a Dovecot.
func (x *crossing) startFrom(source string) {
	x.t.Helper()
	x.ready(source)
	x.engine.Offer("alice", "pass")
}

// ready starts an engine for that.
func (x *crossing) ready(source string) {
	x.t.Helper()
	from := backend.Defaults()
	from.URL = "imap://" + source
	old, err := backend.New("source", from)
	if err != nil {
		x.t.Fatal(err)
	}
	if x.path == "" {
		x.path = filepath.Join(testbed.InMemory(x.t), "state.db")
	}
	if x.store, err = boltstate.Open(x.path, boltstate.Options{}); err != nil {
		x.t.Fatal(err)
	}
	target := DefaultTargetSettings()
	if !x.plain {
		target.DoveadmURL, target.DoveadmAPIKey = x.dst.DoveadmURL(), backend.Secret(x.dst.APIKey)
	}
	x.engine, err = New(Config{
		Settings: x.settings, Source: old, Target: x.backend("target", x.dst), Store: x.store, Owner: "test",
		TargetSettings: target, Log: slog.New(slog.NewTextHandler(testWriter{x.t}, nil)),
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.engine.pace.look, x.engine.pace.retry = 100*time.Millisecond, 250*time.Millisecond
	x.engine.Start(x.ctx)
	x.t.Cleanup(x.stop)
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

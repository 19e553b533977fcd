package migrate

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// TestIntoOthers moves an account into targets that are no Dovecot, over plain IMAP, with folders that are renamed, made again and
// left between two looks. Courier has neither MULTIAPPEND nor LITERAL+.
func TestIntoOthers(t *testing.T) {
	type server interface{ IMAP() string }
	for _, tt := range []struct {
		name              string
		start             func(*testbed.Bed) (server, error)
		separator, prefix string
		excepted          []string
	}{
		{"cyrus", func(b *testbed.Bed) (server, error) {
			return b.Cyrus(testbed.CyrusOptions{AltNamespace: true, Separator: "/"})
		},
			"/", "", []string{"Missing 0 subscription"}}, // Cyrus forgets it with its folder
		{"courier", func(b *testbed.Bed) (server, error) { return b.Courier(testbed.CourierOptions{}) }, ".", "INBOX.", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			t.Cleanup(cancel)
			bed := testbed.ForTest(t)
			src, err := bed.Dovecot(testbed.DovecotOptions{Separator: tt.separator, Prefix: tt.prefix})
			if err != nil {
				t.Fatal(err)
			}
			dst, err := tt.start(bed)
			if err != nil {
				t.Fatal(err)
			}
			spec := testbed.BulkSpec{Seed: 5, Messages: 100, Folders: 4, Missing: 0.2}
			if _, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", spec); err != nil {
				t.Fatal(err)
			}
			x := &crossing{t: t, ctx: ctx, src: src, settings: patient(), plain: true, path: filepath.Join(testbed.InMemory(t), "state.db")}
			x.settings.Allow = []string{ClassSubscription}
			at := strings.NewReplacer("/", tt.separator, "@", tt.prefix).Replace
			x.run(src, "alice", at("CREATE @Work"), at("CREATE @Work/Sub"), "SELECT INBOX", at("COPY 1:5 @Work"), at("COPY 3:4 @Work/Sub"),
				at("SUBSCRIBE @Work"), at("CREATE @Missing"), at("SUBSCRIBE @Missing"), at("DELETE @Missing"))
			x.wrap = func(s *boltstate.Store) Store {
				return &eventful{Store: s, held: func() {}, before: func() {
					x.run(src, "alice", at("RENAME @Work @Play"), at("CREATE @Work"), "SELECT INBOX", at("COPY 6:8 @Work"),
						`STORE 2:3 +FLAGS (\Deleted)`, "EXPUNGE", `STORE 4 +FLAGS (\Flagged)`)
				}}
			}
			x.intoServer(dst.IMAP())
			x.engine.Offer("alice", "pass")
			if rec := x.awaitPhase("alice", state.Migrated); rec.Fidelity != state.Translated {
				t.Errorf("fidelity %s", rec.Fidelity)
			}
			if got := x.excepted(); !slices.Equal(got, tt.excepted) {
				t.Errorf("exceptions %q", got)
			}
			var both [2]*testbed.Account
			for i, addr := range []string{src.IMAP(), dst.IMAP()} {
				if both[i], err = testbed.Snapshot(ctx, addr, "alice", "pass"); err != nil {
					t.Fatal(err)
				}
			}
			for _, line := range testbed.Diff(both[0], both[1], testbed.DiffOptions{UIDNextNotLower: true, IgnoreModSeq: true, IgnoreUIDValidity: true}) {
				if len(tt.excepted) == 0 || line != "Missing: subscribed only in the first" {
					t.Errorf("source != target: %s", line)
				}
			}
		})
	}
}

// intoServer starts an engine whose target is any server with UIDPLUS.
func (x *crossing) intoServer(target string) {
	x.t.Helper()
	cfg := backend.Defaults()
	cfg.URL = "imap://" + target
	to, err := backend.New("target", cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	if x.store, err = boltstate.Open(x.path, boltstate.Options{}); err != nil {
		x.t.Fatal(err)
	}
	var from server = x.src
	if x.from != nil {
		from = x.from
	}
	var store Store = x.store
	if x.wrap != nil {
		store = x.wrap(x.store)
	}
	x.engine, err = New(Config{
		Settings: x.settings, Source: x.backend("source", from), Target: to, TargetSettings: DefaultTargetSettings(),
		Store: store, Prove: "route", Owner: "test", Log: slog.New(slog.NewTextHandler(testWriter{x.t}, nil)),
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.engine.pace.look, x.engine.pace.retry = 100*time.Millisecond, 250*time.Millisecond
	x.engine.Start(x.ctx)
	x.t.Cleanup(x.stop)
}

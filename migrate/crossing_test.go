package migrate

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// crossing is two servers, a store and an engine between them.
type crossing struct {
	t        *testing.T
	ctx      context.Context
	src, dst *testbed.Dovecot
	from     server // the source of intoServer, if it is no Dovecot
	path     string
	store    *boltstate.Store
	engine   *Engine
	settings Settings
	master   bool
	plain    bool // no doveadm at the target

	srcConfig, dstConfig string
	through              map[string]*testbed.Forwarder // what the engine's connections to a side pass, by its name
	wrap                 func(*boltstate.Store) Store  // what the engine sees of the store
}

// patient is the default settings with a budget that a busy machine can keep to.
func patient() Settings {
	s := DefaultSettings()
	s.HoldBudget = 20 * time.Second
	return s
}

func newCrossing(t *testing.T, srcFormat, dstFormat string, with ...func(*crossing)) *crossing {
	t.Helper()
	testbed.Need(t, "dovecot", "doveadm")
	bedsAtOnce <- struct{}{}
	t.Cleanup(func() { <-bedsAtOnce })
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	bed := testbed.ForTest(t)
	x := &crossing{t: t, ctx: ctx, path: filepath.Join(testbed.InMemory(t), "state.db"), settings: patient()}
	for _, f := range with {
		f(x)
	}
	var err error
	if x.src, err = bed.Dovecot(testbed.DovecotOptions{Format: srcFormat, ExtraConfig: x.srcConfig}); err != nil {
		t.Fatal(err)
	}
	if x.dst, err = bed.Dovecot(testbed.DovecotOptions{Format: dstFormat, Doveadm: !x.plain, ExtraConfig: x.dstConfig}); err != nil {
		t.Fatal(err)
	}
	return x
}

// start opens the store and starts an engine on it, as a start of the program does.
func (x *crossing) start() {
	x.t.Helper()
	var err error
	if x.store, err = boltstate.Open(x.path, boltstate.Options{}); err != nil {
		x.t.Fatal(err)
	}
	target := DefaultTargetSettings()
	if !x.plain {
		target.DoveadmURL, target.DoveadmAPIKey = x.dst.DoveadmURL(), backend.Secret(x.dst.APIKey)
	}
	var store Store = x.store
	if x.wrap != nil {
		store = x.wrap(x.store)
	}
	x.engine, err = New(Config{
		Settings: x.settings, Source: x.backend("source", x.src), Target: x.backend("target", x.dst), TargetSettings: target,
		Store: store, Prove: "route", Owner: "test", Log: slog.New(slog.NewTextHandler(testWriter{x.t}, nil)),
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.engine.pace.look, x.engine.pace.retry = 100*time.Millisecond, 250*time.Millisecond
	x.engine.Start(x.ctx)
	x.t.Cleanup(x.stop)
}

// stop ends the engine and closes the store, once.
func (x *crossing) stop() {
	if x.engine == nil {
		return
	}
	x.engine.Stop()
	x.engine = nil
	if err := x.store.Close(); err != nil {
		x.t.Errorf("close store: %v", err)
	}
}

func (x *crossing) backend(name string, d server) *backend.Backend {
	cfg := backend.Defaults()
	cfg.URL = "imap://" + d.IMAP()
	if f := x.through[name]; f != nil {
		cfg.URL = "imap://" + f.Addr()
	}
	if x.master {
		cfg.Login, cfg.MasterUser, cfg.MasterPassword = backend.Master, "master", "masterpass"
	}
	b, err := backend.New(name, cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

func (x *crossing) seed(user string, spec testbed.SeedSpec) {
	x.t.Helper()
	if _, err := testbed.Seed(x.ctx, x.src.IMAP(), user, "pass", spec); err != nil {
		x.t.Fatal(err)
	}
}

// await waits until the user's record satisfies cond.
func (x *crossing) await(user string, what string, cond func(state.Record) bool) state.Record {
	x.t.Helper()
	for {
		rec, err := x.store.Get(x.ctx, user)
		if err == nil && cond(rec) {
			return rec
		}
		select {
		case <-x.ctx.Done():
			x.t.Fatalf("%s is not %s: %+v (%v)", user, what, rec, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (x *crossing) awaitPhase(user string, phase state.Phase) state.Record {
	x.t.Helper()
	return x.await(user, phase.String(), func(r state.Record) bool {
		if r.Phase == state.Held && phase != state.Held {
			x.t.Fatalf("%s is held: %s", user, r.Reason)
		}
		return r.Phase == phase
	})
}

// same demands that both accounts are equal as an independent client sees them.
func (x *crossing) same(user string, opt testbed.DiffOptions) {
	x.t.Helper()
	src := x.snapshot(x.src, user)
	dst := x.snapshot(x.dst, user)
	opt.UIDNextNotLower, opt.ModSeqNotLower = true, true
	for _, line := range testbed.Diff(src, dst, opt) {
		if !strings.Contains(line, "HIGHESTMODSEQ") || !strings.HasSuffix(line, "!= 0") { // Dovecot's Maildir has none in an empty folder
			x.t.Errorf("source != target: %s", line)
		}
	}
}

func (x *crossing) snapshot(d *testbed.Dovecot, user string) *testbed.Account {
	x.t.Helper()
	a, err := testbed.Snapshot(x.ctx, d.IMAP(), user, "pass")
	if err != nil {
		x.t.Fatal(err)
	}
	return a
}

// testWriter writes log lines to the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// TestCrossingExact moves an account with some of everything between two Dovecots and compares all of it (I1, I2).
func TestCrossingExact(t *testing.T) {
	for _, formats := range [][2]string{{"maildir", "mdbox"}, {"mdbox", "maildir"}} {
		t.Run(formats[0]+"-"+formats[1], func(t *testing.T) {
			x := newCrossing(t, formats[0], formats[1], func(x *crossing) {
				if formats[1] == "maildir" { // Maildir++ cannot have a dot in a name, which mdbox can
					x.dstConfig = "mail_location = maildir:~/Maildir:LAYOUT=fs"
				}
			})
			x.seed("alice", testbed.SeedSpec{Seed: 1})
			x.start()
			x.engine.Offer("alice", "pass")
			rec := x.awaitPhase("alice", state.Migrated)
			if rec.Fidelity != state.Exact || rec.MessagesDone != rec.Messages || rec.Messages == 0 {
				t.Errorf("record %+v", rec)
			}
			x.same("alice", testbed.DiffOptions{})
		})
	}
}

// TestCrossingTranslated moves the same into a Dovecot that has nothing but IMAP: UIDs are equal, UIDVALIDITY is the
// relay's business.
func TestCrossingTranslated(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.plain = true })
	x.seed("alice", testbed.SeedSpec{Seed: 1})
	x.start()
	x.engine.Offer("alice", "pass")
	rec := x.awaitPhase("alice", state.Migrated)
	if rec.Fidelity != state.Translated {
		t.Errorf("fidelity %q, want translated", rec.Fidelity)
	}
	x.same("alice", testbed.DiffOptions{IgnoreUIDValidity: true, IgnoreModSeq: true})
}

// noMultiAppend is the configuration of a Dovecot that does not say that it takes several messages at once.
const noMultiAppend = "imap_capability = IMAP4rev1 SASL-IR ID ENABLE IDLE UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED CONDSTORE QRESYNC ESEARCH LIST-STATUS MOVE LITERAL+ SPECIAL-USE\n"

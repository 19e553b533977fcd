package admin_test

import (
	"cmp"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/admin"
)

// TestFinalize: a user is finalized when nothing is likely to be left in the source, or by force; nobody else's lease
// is broken, and the worker's engine is told so that it forgets the secrets (I8).
func TestFinalize(t *testing.T) {
	now := time.Now()
	quiet := state.Progress{Stragglers: 3, LastStraggler: now.Add(-25 * time.Hour), LastPass: now.Add(-time.Hour)}
	but := func(change func(*state.Progress)) state.Progress {
		p := quiet
		change(&p)
		return p
	}
	for _, c := range []struct {
		name     string
		phase    state.Phase
		switched time.Duration // ago; 0: 25 hours
		progress state.Progress
		busy     bool
		force    bool
		refused  string
	}{
		{name: "quiet", phase: state.Migrated, progress: quiet},
		{name: "never one", phase: state.Migrated, progress: but(func(p *state.Progress) { p.LastStraggler = time.Time{} })},
		{name: "no pass", phase: state.Migrated, refused: "nobody has looked"},
		{name: "no pass, forced", phase: state.Migrated, force: true},
		{name: "long ago", phase: state.Migrated, progress: but(func(p *state.Progress) { p.LastPass = now.Add(-3 * time.Hour) }), refused: "is 3h0m"},
		{name: "just now", phase: state.Migrated, progress: but(func(p *state.Progress) { p.LastStraggler = now.Add(-time.Hour) }), refused: "found 1h0m"},
		{name: "switched just now", phase: state.Migrated, switched: time.Hour, progress: but(func(p *state.Progress) { p.LastStraggler = time.Time{} }), refused: "the switch was 1h0m"},
		{name: "left", phase: state.Migrated, progress: but(func(p *state.Progress) { p.StragglersLeft = 2 }), refused: "2 stragglers could not"},
		{name: "left, forced", phase: state.Migrated, progress: but(func(p *state.Progress) { p.StragglersLeft = 2 }), force: true},
		{name: "under way", phase: state.Migrated, switched: 23 * time.Hour, progress: quiet, busy: true, force: true, refused: "holds the lease"},
		{name: "held", phase: state.Held, force: true, refused: "the phase is held"},
		{name: "twice", phase: state.Finalized, force: true, refused: "is finalized already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.behind.Store(int64(cmp.Or(c.switched, 25*time.Hour)))
			l := f.bring("alice@a.example", c.phase)
			f.must(f.store.Report(f.Context(), l, c.progress))
			if !c.busy {
				f.must(f.store.Release(f.Context(), l))
			}
			f.behind.Store(0)
			client := f.serve("127.0.0.1:0")
			u, err := client.Finalize(t.Context(), "alice", c.force)
			if c.refused != "" {
				wantError(t, c.name, err, admin.ErrRefused, c.refused)
				if rec, err := f.store.Get(t.Context(), "alice@a.example"); err != nil || rec.Phase != c.phase || len(f.notified) > 0 {
					t.Errorf("refused, and still %+v, %v, notified %q", rec, err, f.notified)
				}
				return
			}
			f.must(err)
			if u.Phase != state.Finalized || u.Owner != "" && time.Until(u.LeaseUntil) > time.Minute || len(f.notified) != 1 {
				t.Errorf("%+v, notified %q", u, f.notified)
			}
		})
	}
}

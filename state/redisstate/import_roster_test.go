package redisstate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"imapferry/state"
	"imapferry/state/redisstate"
)

// What was exported may lack switches that only some node's journal knows. So its records do not count, on all kinds, before all nodes of the
// roster have posted, whatever this Redis had accepted before (I3, I7).
func TestImportRoster(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f := k.start(t)
			ctx := t.Context()
			leave(t, newPoster(t, f.open(t), "of the empty store"))
			i, err := f.startImport(t, "STORE")
			must(t, err)
			must(t, i.User(ctx, state.Kept{Record: state.Record{User: "alice", Phase: state.Migrated}}))
			must(t, i.Journal(ctx, "one", true))
			must(t, i.Journal(ctx, "two", false))
			must(t, i.Finish(ctx))
			must(t, i.Close())
			if n := len(slices.DeleteFunc(f.keys(t), func(key string) bool { return !strings.HasSuffix(key, ":roster") })); n != 65 {
				t.Errorf("%d tags have a roster", n)
			}

			s, err := redisstate.Open(ctx, f.url, f.options())
			must(t, err)
			t.Cleanup(func() { s.Close() })
			wantMissing(t, s, "one two", "one two")
			if _, err := s.Get(ctx, "alice"); !errors.Is(err, state.ErrUntrusted) {
				t.Errorf("nobody has posted: %v", err)
			}
			f.wantContent(t, "nobody has posted", []string{"journal of one, posted: false", "journal of two, posted: false", alice(t)})
			one := newPoster(t, s, "one")
			one.post()
			wantMissing(t, s, "two", "two")
			if _, err := s.Get(ctx, "alice"); !errors.Is(err, state.ErrUntrusted) {
				t.Errorf("one has posted: %v", err)
			}
			two := newPoster(t, s, "two")
			two.post()
			wantMissing(t, s, "", "")
			_, err = s.Get(ctx, "alice")
			must(t, err)
			must(t, errors.Join(s.Leave(ctx, one.Node), s.Leave(ctx, two.Node)))
			f.wantContent(t, "all have posted", []string{"journal of one, posted: true", "journal of two, posted: true", alice(t)})
		})
	}
}

// leave lets a node post and go.
func leave(t *testing.T, p poster) {
	t.Helper()
	p.post()
	must(t, p.s.Leave(t.Context(), p.Node))
}

func alice(t *testing.T) string {
	t.Helper()
	var l list
	must(t, l.User(t.Context(), state.Kept{Record: state.Record{User: "alice", Phase: state.Migrated}}))
	return l.all[0]
}

// A Redis that is started again in the middle of an export may have lost switches that were exported as posted.
func TestExportOverRuns(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s := f.open(t)
	ctx := t.Context()
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	leave(t, newPoster(t, s, "one"))
	over := &meddler{user: func() { restart(t, f.servers[0]) }}
	if err := s.Export(ctx, over, told(t, "")); err == nil || !strings.Contains(err.Error(), "started anew") {
		t.Errorf("exported %q: %v", over.all, err)
	}
}

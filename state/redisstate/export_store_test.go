package redisstate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/redisstate"
)

// meddler is a taker during whose work something happens.
type meddler struct {
	list
	user, claim func()
}

func (m *meddler) User(ctx context.Context, k state.Kept) error {
	if m.user != nil {
		m.user()
		m.user = nil
	}
	return m.list.User(ctx, k)
}

func (m *meddler) Claim(ctx context.Context, token, user string) error {
	if m.claim != nil {
		m.claim()
		m.claim = nil
	}
	return m.list.Claim(ctx, token, user)
}

// TestExportRefuses: what a node or a worker may change is not exported, since the new store would lack a switch that comes after it (I7).
func TestExportRefuses(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s, other := f.open(t), f.open(t)
	ctx := t.Context()
	l := acquire(t, s, "alice", time.Hour)

	n, err := s.Join(ctx, "n", time.Hour)
	must(t, err)
	beat := func(string, time.Duration) { must(t, s.Beat(ctx, n, time.Hour)) }
	if alive := new(state.Alive); !errors.As(other.Export(ctx, &list{}, beat), &alive) || alive.Node != "n" {
		t.Errorf("exported beneath node n, which is alive")
	}
	must(t, s.Leave(ctx, n))
	if leased := new(state.Leased); !errors.As(other.Export(ctx, &list{}, told(t, "")), &leased) || leased.User != "alice" || leased.Owner != "w" {
		t.Errorf("exported while alice was leased")
	}
	must(t, s.Release(ctx, l))

	visit := &meddler{user: func() { // a node comes and goes, and has moved who knows whom
		n, err := s.Join(ctx, "m", time.Hour)
		must(t, err)
		must(t, s.Leave(ctx, n))
	}}
	if err := other.Export(ctx, visit, told(t, "")); err == nil || !strings.Contains(err.Error(), "a node has joined meanwhile") {
		t.Errorf("exported while a node came and went: %v", err)
	}
	must(t, other.Export(ctx, &list{}, told(t, "")))
}

// A node that was killed leaves its entry, and a worker its lease. Both are waited out.
func TestExportWaits(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s, c := f.open(t), raw(t, f.servers[0])
	ctx := t.Context()
	_, err := s.Join(ctx, "n", 100*time.Millisecond)
	must(t, err)
	acquire(t, s, "alice", time.Millisecond)
	rec, err := s.Get(ctx, "alice")
	must(t, err)
	pass(t, c, 10*time.Millisecond)
	waited := ""
	var l list
	other, err := redisstate.Open(ctx, f.url, f.options())
	must(t, err)
	defer other.Close()
	must(t, other.Export(ctx, &l, func(node string, _ time.Duration) { waited = node }))
	if waited != "n" || len(l.all) != 1 {
		t.Errorf("waited for %q, exported %q", waited, l.all)
	}
	if !rec.Created.IsZero() && !strings.Contains(l.all[0], "Owner: ") {
		t.Errorf("exported %s", l.all[0])
	}
}

// Cursors of one server mean nothing to another one: a restart in the middle must not make an export skip claims.
func TestExportRestarted(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s := f.open(t)
	ctx := t.Context()
	for i := range 100 {
		tokens := make([]string, state.MaxTokens)
		for n := range tokens {
			tokens[n] = strings.Repeat("t", i+1) + string(rune('0'+n))
		}
		_, err := s.Claim(ctx, "alice", tokens)
		must(t, err)
	}
	restart := &meddler{claim: func() { f.failover(t) }}
	if err := s.Export(ctx, restart, told(t, "")); err == nil || !strings.Contains(err.Error(), "started anew") {
		t.Errorf("exported %d of %d claims over a restart: %v", len(restart.all), 100*state.MaxTokens, err)
	}
	var l list
	must(t, s.Export(ctx, &l, told(t, "")))
	if len(l.all) != 100*state.MaxTokens {
		t.Errorf("exported %d of %d claims", len(l.all), 100*state.MaxTokens)
	}
}

func acquire(t *testing.T, s *redisstate.Store, user string, ttl time.Duration) state.Lease {
	t.Helper()
	_, err := s.Offer(t.Context(), user)
	must(t, err)
	l, _, err := s.Acquire(t.Context(), user, "w", ttl)
	must(t, err)
	return l
}

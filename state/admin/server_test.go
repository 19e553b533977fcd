package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"imapferry/state"
	"imapferry/state/admin"
	"imapferry/state/boltstate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

// fixture is a server over a real store, with what it was told to notify.
type fixture struct {
	*testing.T
	store    *boltstate.Store
	server   *admin.Server
	notified []string
	behind   atomic.Int64 // nanoseconds by which the store's clock is slow
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t}
	store, err := boltstate.Open(filepath.Join(t.TempDir(), "state.db"), boltstate.Options{
		Now: func() time.Time { return time.Now().Add(-time.Duration(f.behind.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	f.store = store
	f.server = admin.NewServer(admin.Options{
		Store:     store,
		Version:   "1.2.3",
		Canonical: canonical,
		Sessions:  func(user string) int { return map[string]int{"alice@a.example": 2}[user] },
		Notify:    func(user string) { f.notified = append(f.notified, user) },
		Log:       slog.New(slog.DiscardHandler),
	})
	return f
}

// canonical lower-cases, adds a domain, and cannot always.
func canonical(_ context.Context, name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "down"):
		return "", errors.New("the alias server does not answer")
	case strings.HasPrefix(name, "odd"):
		return "", fmt.Errorf("no such alias: %w", state.ErrInvalid)
	case strings.Contains(name, "@"), strings.HasPrefix(name, "."):
		return strings.ToLower(name), nil
	}
	return strings.ToLower(name) + "@a.example", nil
}

// bring takes a user to migrated, finalized or held, and returns the lease.
func (f *fixture) bring(user string, to state.Phase) state.Lease {
	f.Helper()
	ctx := f.Context()
	_, err := f.store.Offer(ctx, user)
	f.must(err)
	l, _, err := f.store.Acquire(ctx, user, "w", day)
	f.must(err)
	for _, p := range []state.Phase{state.Copying, state.Tailing} {
		_, err = f.store.Advance(ctx, l, p, state.Change{Fidelity: state.Exact})
		f.must(err)
	}
	f.must(f.store.Report(ctx, l, state.Progress{Folders: 3, Messages: 10, MessagesDone: 9, BytesDone: 1 << 40, Exceptions: 1}))
	if to == state.Held {
		_, err = f.store.Advance(ctx, l, state.Held, state.Change{Reason: "over quota"})
		f.must(err)
		return l
	}
	l, _, err = f.store.BeginCutover(ctx, l, "x", day)
	f.must(err)
	f.must(f.store.Commit(ctx, l, "x"))
	_, err = f.store.Switch(ctx, l, "x", 1500*time.Millisecond)
	f.must(err)
	f.must(f.store.Tally(ctx, user, 4, map[string]int64{"expunged": 1}))
	if to == state.Finalized {
		_, err = f.store.Advance(ctx, l, state.Finalized, state.Change{})
		f.must(err)
	}
	return l
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// do sends one request past the network and returns status and the decoded answer.
func (f *fixture) do(method, path string, edit func(*http.Request)) (int, map[string]any) {
	f.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:9143"
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	f.server.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		f.Errorf("%s %s: content type %q", method, path, got)
	}
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		f.Errorf("%s %s: answer %q is no object: %v", method, path, w.Body, err)
	}
	return w.Code, answer
}

// What scripts rely on is always there.
func TestUserJSON(t *testing.T) {
	f := newFixture(t)
	f.bring("alice@a.example", state.Migrated)
	code, got := f.do("GET", "/v1/users/Alice", nil)
	if code != http.StatusOK {
		t.Fatalf("status %d: %v", code, got)
	}
	for field, want := range map[string]any{
		"user": "alice@a.example", "phase": "migrated", "fidelity": "exact", "reason": "", "folders": 3.0, "messages": 10.0, "messages_done": 9.0,
		"bytes_done": float64(1 << 40), "exceptions": 1.0, "sessions": 2.0, "hold_ms": 1500.0, "moved": 4.0, "disconnected": 1.0, "epoch": 2.0,
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	if ended, _ := got["ended"].(map[string]any); len(ended) != 1 || ended["expunged"] != 1.0 {
		t.Errorf("ended is %v", got["ended"])
	}
	for _, field := range []string{"started", "migrated"} {
		if s, _ := got[field].(string); !strings.HasPrefix(s, "20") {
			t.Errorf("%s is %v, want a time", field, got[field])
		}
	}
	_, err := f.store.Offer(t.Context(), "bob@a.example")
	f.must(err)
	_, got = f.do("GET", "/v1/users/bob@a.example", nil)
	for _, field := range []string{"started", "migrated"} {
		if v, there := got[field]; !there || v != nil {
			t.Errorf("before: %s is %v, there %v, want null", field, v, there)
		}
	}
	if got["fidelity"] != "" || got["reason"] != "" || got["sessions"] != 0.0 {
		t.Errorf("a new user: %v", got)
	}
}

func TestErrors(t *testing.T) {
	f := newFixture(t)
	f.bring("alice@a.example", state.Finalized)
	f.bring("bob@a.example", state.Held)
	for _, c := range []struct {
		method, path string
		edit         func(*http.Request)
		want         int
		says         string
	}{
		{"GET", "/v1/users/nobody", nil, 404, "not known"},
		{"POST", "/v1/users/nobody/retry", nil, 404, "not known"},
		{"POST", "/v1/users/alice/retry", nil, 409, "is finalized"},
		{"POST", "/v1/users/nobody/cutover", nil, 404, "not known"},
		{"POST", "/v1/users/alice/cutover", nil, 409, "on the target already"},
		{"POST", "/v1/users/bob/cutover", nil, 409, "bob@a.example is held: over quota; mend that and `imapferry retry bob@a.example` first"},
		{"GET", "/v1/users/alice/cutover", nil, 405, "POST only"},
		{"GET", "/v1/users/a%00b", nil, 400, "control"},
		{"GET", "/v1/users/%FF", nil, 400, "UTF-8"},
		{"POST", "/v1/users/" + strings.Repeat("a", 1024) + "/migrate", nil, 400, "bytes"},
		{"POST", "/v1/users/odd/migrate", nil, 400, "no such alias"},
		{"POST", "/v1/users/down/migrate", nil, 503, "alias server"},
		{"GET", "/v1/users?phase=moved", nil, 400, "pending copying"},
		{"GET", "/v1/users?limit=0", nil, 400, "limit"},
		{"GET", "/v1/users?limit=1001", nil, 400, "limit"},
		{"GET", "/v1/users?limit=many", nil, 400, "limit"},
		{"GET", "/v1/nothing", nil, 404, "/v1/nothing"},
		{"GET", "/", nil, 404, "nothing at /"},
		{"DELETE", "/v1/users/alice", nil, 405, "GET only"},
		{"GET", "/v1/users/alice/migrate", nil, 405, "POST only"},
		{"POST", "/v1/users/alice/migrate", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")) }, 400, "no body"},
		{"POST", "/v1/users/alice/migrate", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, "origin"},
		{"POST", "/v1/users/alice/migrate", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403, "origin"},
	} {
		code, got := f.do(c.method, c.path, c.edit)
		says, _ := got["error"].(string)
		if code != c.want || !strings.Contains(says, c.says) || len(got) != 1 {
			t.Errorf("%s %.40s: %d %v, want %d with %q", c.method, c.path, code, got, c.want, c.says)
		}
	}
	if len(f.notified) > 0 {
		t.Errorf("refused requests notified %q", f.notified)
	}
}

func TestHealth(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, got := f.do("GET", path, nil); code != 200 || got["ok"] != true {
			t.Errorf("%s: %d %v", path, code, got)
		}
	}
	f.server.Ready = func() error { return errors.New("has not joined") }
	if code, got := f.do("GET", "/readyz", nil); code != 503 || got["error"] != "has not joined" {
		t.Errorf("readyz before the node has joined: %d %v", code, got)
	}
	f.must(f.store.Close())
	if code, _ := f.do("GET", "/healthz", nil); code != 200 {
		t.Errorf("healthz without the store: %d", code)
	}
	if code, got := f.do("GET", "/readyz", nil); code != 503 || got["error"] == nil {
		t.Errorf("readyz without the store: %d %v", code, got)
	}
	code, got := f.do("GET", "/v1/status", nil)
	if store, _ := got["store"].(map[string]any); code != 200 || store["ok"] != false || store["error"] == nil {
		t.Errorf("status without the store: %d %v", code, got)
	}
	if code, got := f.do("GET", "/v1/users", nil); code != 503 {
		t.Errorf("users without the store: %d %v", code, got)
	}
}

func TestStatus(t *testing.T) {
	f := newFixture(t)
	f.bring("alice@a.example", state.Migrated)
	if _, err := f.store.Join(t.Context(), "n1", day); err != nil {
		t.Fatal(err)
	}
	code, got := f.do("GET", "/v1/status", nil)
	users, _ := got["users"].(map[string]any)
	nodes, _ := got["nodes"].([]any)
	if code != 200 || got["version"] != "1.2.3" || users["migrated"] != 1.0 || users["pending"] != 0.0 || len(users) != len(state.Phases) || len(nodes) != 1 {
		t.Errorf("%d %v", code, got)
	}
}

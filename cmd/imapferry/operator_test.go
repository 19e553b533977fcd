package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/admin"
	"imapferry/state/boltstate"
)

// office is an admin API over a store in a file.
func office(t *testing.T) (state.Store, string) { return officeAt(t, time.Now) }

// officeAt is office with another clock for the store.
func officeAt(t *testing.T, now func() time.Time) (state.Store, string) {
	t.Helper()
	store, err := boltstate.Open(filepath.Join(testbed.InMemory(t), "state.db"), boltstate.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(admin.NewServer(admin.Options{Store: store, Version: "v1"}))
	t.Cleanup(func() {
		server.Close()
		store.Close()
	})
	return store, server.URL
}

// hold brings a user to held.
func hold(t *testing.T, store state.Store, user, reason string) {
	t.Helper()
	ctx := t.Context()
	if _, err := store.Offer(ctx, user); err != nil {
		t.Fatal(err)
	}
	lease, _, err := store.Acquire(ctx, user, "w", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Advance(ctx, lease, state.Copying, state.Change{Fidelity: state.Exact}); err != nil {
		t.Fatal(err)
	}
	if err := store.Report(ctx, lease, state.Progress{Folders: 3, Messages: 200, MessagesDone: 50, BytesDone: 1234567, Exceptions: 2}); err != nil {
		t.Fatal(err)
	}
	list := []state.Exception{{Folder: "a\tb", Class: "folder", Text: "cannot be opened"}, {Folder: "INBOX", UID: 7, Class: "refused", MessageID: "<x@y>", Text: "NO too long"}}
	if err := store.PutExceptions(ctx, lease, list...); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Advance(ctx, lease, state.Held, state.Change{Reason: reason}); err != nil {
		t.Fatal(err)
	}
	if err := store.Release(ctx, lease); err != nil {
		t.Fatal(err)
	}
}

func TestOperatorCommands(t *testing.T) {
	store, addr := office(t)
	hold(t, store, "alice", "over quota")
	tests := []struct {
		args           string
		code           int
		stdout, stderr []string
	}{
		{"status", done, []string{"store      ok\n", "held       1\n", "all users  1\n"}, nil},
		{"status alice", done, []string{"phase       held\n", "reason      over quota\n", "fidelity    exact\n",
			"messages    50 of 200 (25%), 1.2 MB, in 3 folders\n", "exceptions  2; `imapferry exceptions alice` lists them\n", "started     2", " ago)\n", "sessions    0 on this node\n"}, nil},
		{"status nobody", failed, nil, []string{"imapferry status: ", "nobody"}},
		{"exceptions alice", done, []string{"\"INBOX\"  7    refused  \"<x@y>\"     NO too long\n", "\"a\\tb\"   -    folder", "folder: 1\nrefused: 1\n"}, nil},
		{"exceptions alice --json", done, []string{`"counts": {`, `"refused": 1`, `"message_id": "\u003cx@y\u003e"`}, nil},
		{"exceptions nobody", failed, nil, []string{"imapferry exceptions: ", "nobody"}},
		{"exceptions", misuse, nil, []string{"name one user"}},
		{"users", done, []string{"USER   PHASE  FIDELITY  DONE  MESSAGES  EXCEPTIONS  TRIES  REASON\n", "alice  held   exact     25%   200       2           0      over quota\n"}, nil},
		{"users --phase migrated", done, []string{"no users\n"}, nil},
		{"users --phase migrated --json", done, []string{"[]\n"}, nil},
		{"migrate bob carol", done, []string{"bob: pending\n", "carol: pending\n"}, nil},
		{"cutover alice carol", failed, []string{"carol: pending\n"}, []string{"imapferry cutover: alice is held: over quota; mend that and `imapferry retry alice` first"}},
		{"status carol", done, []string{"released  switched as soon as both sides are equal"}, nil},
		{"retry nobody alice", failed, []string{"alice: pending\n"}, []string{"imapferry retry: ", "nobody"}},
		{"status --admin 127.0.0.1:1", failed, nil, []string{"imapferry status: imapferry cannot be reached at 127.0.0.1:1: ", "is `imapferry serve` running"}},
		{"status --admin nonsense", misuse, nil, []string{"imapferry status: --admin: "}},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			t.Setenv("IMAPFERRY_ADMIN", addr)
			code, stdout, stderr := ferry(t, strings.Fields(test.args)...)
			if code != test.code {
				t.Errorf("exit %d; want %d", code, test.code)
			}
			for _, want := range test.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("stdout has no %q:\n%s", want, stdout)
				}
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("stderr has no %q:\n%s", want, stderr)
				}
			}
		})
	}
}

// Scripts rely on these keys.
func TestStatusAsJSON(t *testing.T) {
	store, addr := office(t)
	hold(t, store, "alice", "over quota")
	_, stdout, stderr := ferry(t, "status", "alice", "--json", "--admin", addr)
	var got map[string]any
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v in %q, %q", err, stdout, stderr)
	}
	for _, key := range strings.Fields("user phase fidelity reason folders messages messages_done bytes_done exceptions sessions hold_ms moved disconnected epoch started migrated") {
		if _, ok := got[key]; !ok {
			t.Errorf("status --json has no %s", key)
		}
	}
	if got["phase"] != "held" || got["started"] == nil || got["migrated"] != nil {
		t.Errorf("phase %v, started %v, migrated %v; want held, a time, null", got["phase"], got["started"], got["migrated"])
	}
	_, stdout, _ = ferry(t, "retry", "--json", "--admin", addr, "alice")
	var changed []map[string]any
	if err := json.Unmarshal([]byte(stdout), &changed); err != nil || len(changed) != 1 || changed[0]["phase"] != "pending" {
		t.Errorf("retry --json: %v in %q; want one user who is pending", err, stdout)
	}
}

func TestUsersReadsAllPages(t *testing.T) {
	store, addr := office(t)
	const n = 2*pageSize + 1
	for i := range n {
		if _, err := store.Offer(t.Context(), fmt.Sprintf("user%04d", i)); err != nil {
			t.Fatal(err)
		}
	}
	_, stdout, stderr := ferry(t, "users", "--json", "--phase", "pending", "--admin", addr)
	var got []struct{ User string }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v; stderr %q", err, stderr)
	}
	if len(got) != n || got[0].User != "user0000" || got[n-1].User != fmt.Sprintf("user%04d", n-1) {
		t.Errorf("got %d users; want %d in order", len(got), n)
	}
}

func TestWords(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct{ got, want string }{
		{size(999), "999 B"}, {size(1000), "1.0 kB"}, {size(34_200_000), "34.2 MB"}, {size(5_000_000_000_000_000_000), "5000.0 PB"},
		{when(now.Add(-90*time.Second), now), "2026-01-02T03:02:35Z (1m30s ago)"}, {when(now.Add(time.Minute), now), "2026-01-02T03:05:05Z (in 1m0s)"},
		{when(time.Time{}, now), "-"}, {share(state.Progress{}), "-"}, {share(state.Progress{Messages: 3, MessagesDone: 2}), "66%"},
		{share(state.Progress{Messages: 3, MessagesDone: 4}), "100%"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got %q; want %q", test.got, test.want)
		}
	}
}

// A script whose variable was never set was told that imapferry cannot be reached, because a path without a name
// leads elsewhere (I9).
func TestEmptyName(t *testing.T) {
	_, addr := office(t)
	for _, command := range []string{"status", "migrate", "retry"} {
		code, _, stderr := ferry(t, command, "--admin", addr, "")
		if code != misuse || !strings.Contains(stderr, "name is empty") {
			t.Errorf("%s of an empty name: exit %d, %q; want %d", command, code, stderr, misuse)
		}
	}
}

// The commands for a migrated user: what is known of stragglers, another pass, and the end.
func TestFinalizeCommand(t *testing.T) {
	var now atomic.Pointer[time.Time] // the switch is two days ago
	store, addr := officeAt(t, func() time.Time {
		if t := now.Load(); t != nil {
			return *t
		}
		return time.Now()
	})
	ctx := t.Context()
	past := time.Now().Add(-48 * time.Hour)
	now.Store(&past)
	migrated(t, store, "alice")
	now.Store(nil)
	code, stdout, stderr := ferry(t, "finalize", "alice", "--admin", addr)
	if code != failed || !strings.Contains(stderr, "imapferry finalize: ") || !strings.Contains(stderr, "nobody has looked for stragglers") {
		t.Errorf("without a pass: exit %d, %q, %q", code, stdout, stderr)
	}
	if _, stdout, _ = ferry(t, "status", "alice", "--admin", addr); !strings.Contains(stdout, "stragglers  none so far\nlast pass   -; next due; with") {
		t.Errorf("status without a pass:\n%s", stdout)
	}
	lease, _, err := store.Acquire(ctx, "alice", "w", time.Minute)
	if err == nil {
		err = store.Report(ctx, lease, state.Progress{Stragglers: 3, LastStraggler: time.Now().Add(-48 * time.Hour), LastPass: time.Now().Add(-time.Minute)})
	}
	if err == nil {
		_, err = store.Advance(ctx, lease, state.Migrated, state.Change{Again: time.Hour})
	}
	if err = errors.Join(err, store.Release(ctx, lease)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"stragglers  3 brought over, the last 2", " (48h0m", "last pass   2", "; next 2", " (in "} {
		if _, stdout, _ = ferry(t, "status", "alice", "--admin", addr); !strings.Contains(stdout, want) {
			t.Errorf("status has no %q:\n%s", want, stdout)
		}
	}
	if code, stdout, stderr = ferry(t, "finalize", "alice", "--admin", addr); code != done || stdout != "alice: finalized\n" {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
}

// migrated brings a user to migrated, and gives back the lease.
func migrated(t *testing.T, store state.Store, user string) {
	t.Helper()
	ctx := t.Context()
	_, err := store.Offer(ctx, user)
	lease, _, err2 := store.Acquire(ctx, user, "w", time.Minute)
	err = errors.Join(err, err2)
	for _, p := range []state.Phase{state.Copying, state.Tailing} {
		_, err2 = store.Advance(ctx, lease, p, state.Change{Fidelity: state.Exact})
		err = errors.Join(err, err2)
	}
	lease, _, err2 = store.BeginCutover(ctx, lease, "x", time.Minute)
	err = errors.Join(err, err2, store.Commit(ctx, lease, "x"))
	_, err2 = store.Switch(ctx, lease, "x", time.Second)
	if err = errors.Join(err, err2, store.Release(ctx, lease)); err != nil {
		t.Fatal(err)
	}
}

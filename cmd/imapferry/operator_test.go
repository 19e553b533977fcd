package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/admin"
	"imapferry/state/boltstate"
)

// office is an admin API over a store in a file.
func office(t *testing.T) (state.Store, string) {
	t.Helper()
	store, err := boltstate.Open(filepath.Join(t.TempDir(), "state.db"), boltstate.Options{})
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
			"messages    50 of 200 (25%), 1.2 MB, in 3 folders\n", "exceptions  2\n", "started     2", " ago)\n", "sessions    0 on this node\n"}, nil},
		{"status nobody", failed, nil, []string{"imapferry status: ", "nobody"}},
		{"users", done, []string{"USER   PHASE  FIDELITY  DONE  MESSAGES  EXCEPTIONS  TRIES  REASON\n", "alice  held   exact     25%   200       2           0      over quota\n"}, nil},
		{"users --phase migrated", done, []string{"no users\n"}, nil},
		{"users --phase migrated --json", done, []string{"[]\n"}, nil},
		{"migrate bob carol", done, []string{"bob: pending\n", "carol: pending\n"}, nil},
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

// A script whose variable was never set was told that imapferry cannot be reached, because a path without a name leads elsewhere (I9).
func TestEmptyName(t *testing.T) {
	_, addr := office(t)
	for _, command := range []string{"status", "migrate", "retry"} {
		code, _, stderr := ferry(t, command, "--admin", addr, "")
		if code != misuse || !strings.Contains(stderr, "name is empty") {
			t.Errorf("%s of an empty name: exit %d, %q; want %d", command, code, stderr, misuse)
		}
	}
}

package admin_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imapferry/state"
	"imapferry/state/admin"
)

// serve answers on addr and returns a client for it.
func (f *fixture) serve(addr string) *admin.Client {
	f.Helper()
	l, err := admin.Listen(addr)
	f.must(err)
	srv := &http.Server{Handler: f.server}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	f.Cleanup(func() {
		srv.Close()
		<-done
	})
	if !strings.HasPrefix(addr, "unix:") {
		addr = l.Addr().String()
	}
	c, err := admin.NewClient(addr)
	f.must(err)
	f.Cleanup(c.Close)
	return c
}

func TestClient(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "admin.sock")} {
		t.Run(addr[:4], func(t *testing.T) {
			f := newFixture(t)
			f.bring("alice@a.example", state.Migrated)
			f.bring("bob@a.example", state.Held)
			c := f.serve(addr)
			ctx := t.Context()

			u, err := c.User(ctx, "ALICE")
			f.must(err)
			want, err := f.store.Get(ctx, "alice@a.example")
			f.must(err)
			if u.User != want.User || u.Phase != state.Migrated || u.Sessions != 2 || !u.Migrated.Equal(want.Migrated) || !u.Started.Equal(want.Started) || u.Progress != want.Progress {
				t.Errorf("user: %+v, want %+v", u, want)
			}
			if u, err = c.Retry(ctx, "bob"); err != nil || u.Phase != state.Pending {
				t.Errorf("retry: %+v, %v", u, err)
			}
			if u, err = c.Cutover(ctx, "bob"); err != nil || u.Phase != state.Pending || !u.Released {
				t.Errorf("cutover: %+v, %v", u, err)
			}
			for _, name := range []string{"carol", "..", ".", "a/b@a.example", "a?b%25@a.example", "ü@a.example", "{x}@a.example"} {
				if u, err = c.Migrate(ctx, name); err != nil || u.Phase != state.Pending {
					t.Errorf("migrate %q: %+v, %v", name, u, err)
				}
			}
			if want := []string{"bob@a.example", "bob@a.example", "carol@a.example", "..", ".", "a/b@a.example", "a?b%25@a.example", "ü@a.example", "{x}@a.example"}; !slices.Equal(f.notified, want) {
				t.Errorf("notified %q, want %q", f.notified, want)
			}
			st, err := c.Status(ctx)
			f.must(err)
			if !st.Store.OK || st.Users[state.Pending] != 8 || st.Users[state.Migrated] != 1 || st.Version != "1.2.3" {
				t.Errorf("status: %+v", st)
			}
		})
	}
}

func TestClientPages(t *testing.T) {
	f := newFixture(t)
	for i := range 25 {
		_, err := f.store.Offer(t.Context(), fmt.Sprintf("u%02d", i))
		f.must(err)
	}
	c := f.serve("127.0.0.1:0")
	var got []string
	pages := 0
	for after := ""; ; pages++ {
		p, err := c.Users(t.Context(), state.Pending, after, 10)
		f.must(err)
		for _, u := range p.Users {
			got = append(got, u.User)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if len(got) != 25 || !slices.IsSorted(got) || pages != 2 {
		t.Errorf("%d users on %d pages: %q", len(got), pages+1, got)
	}
	p, err := c.Users(t.Context(), state.Held, "", 0)
	f.must(err)
	if p.Users == nil || len(p.Users) > 0 {
		t.Errorf("none are held, listed %v", p.Users)
	}
}

func TestClientErrors(t *testing.T) {
	f := newFixture(t)
	f.bring("alice@a.example", state.Finalized)
	c := f.serve("127.0.0.1:0")
	ctx := t.Context()
	_, err := c.User(ctx, "nobody")
	wantError(t, "an unknown user", err, admin.ErrNotFound, "not known")
	_, err = c.User(ctx, "a\nb")
	wantError(t, "an odd name", err, admin.ErrRefused, "control")
	_, err = c.User(ctx, "")
	wantError(t, "no name", err, admin.ErrNotFound, "/v1/users/")
	_, err = c.Retry(ctx, "alice")
	wantError(t, "a finalized user", err, admin.ErrRefused, "alice@a.example is finalized")
	_, err = c.RetryPark(ctx, "alice")
	wantError(t, "nothing to move aside", err, admin.ErrRefused, "is on the target already")
	f.must(f.store.Close())
	_, err = c.User(ctx, "alice")
	wantError(t, "no store", err, admin.ErrStore, "")
}

func wantError(t *testing.T, what string, err, want error, says string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: error is %v, want %v with %q", what, err, want, says)
	}
}

// Whoever cannot reach imapferry is told what to look at.
func TestClientUnreachable(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "teapot") {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprint(w, "<html>hello</html>")
	}))
	defer other.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	free.Close()
	for _, c := range []struct{ addr, user, says string }{
		{nobody, "alice", nobody},
		{"http://" + nobody, "alice", "imapferry serve"},
		{"unix:" + filepath.Join(t.TempDir(), "none.sock"), "alice", "none.sock"},
		{other.URL, "alice", "not imapferry's"},
		{other.URL + "/", "teapot", "somebody else"},
	} {
		client, err := admin.NewClient(c.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		_, err = client.User(t.Context(), c.user)
		wantError(t, c.addr, err, admin.ErrUnreachable, c.says)
	}
	for _, addr := range []string{"", "9143", "unix:", "ftp://127.0.0.1:1", "http://", "::"} {
		if _, err := admin.NewClient(addr); err == nil {
			t.Errorf("NewClient(%q) took it", addr)
		}
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := admin.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if _, err := admin.Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second listener: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as if the process were killed
	l.Close()
	l, err = admin.Listen("unix:" + path)
	if err != nil {
		t.Fatalf("after a process that was killed: %v", err)
	}
	l.Close()

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Listen("unix:" + path); err == nil {
		t.Error("a file was taken for a socket")
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("a file was removed")
	}
	for _, addr := range []string{"unix:/nowhere/at/all.sock", "unix:", "nonsense"} {
		if l, err := admin.Listen(addr); err == nil {
			l.Close()
			t.Errorf("Listen(%q) took it", addr)
		}
	}
}

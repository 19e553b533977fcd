package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestCanonical(t *testing.T) {
	tests := []struct{ domain, name, want string }{
		{"", "Alice", "alice"},
		{"", "Alice@Example.ORG", "alice@example.org"},
		{"example.org", "alice", "alice@example.org"},
		{"@Example.org", "alice", "alice@example.org"},
		{"example.org", "alice@other.example", "alice@other.example"},
		{"", "ÉMILE", "émile"},
		{"", "e\u0301mile", "émile"}, // composed: two spellings are one user
		{"", "with space", "with space"},
		{"", strings.Repeat("x", 255), strings.Repeat("x", 255)},
	}
	for _, tt := range tests {
		n, err := NewNames(NamesConfig{DefaultDomain: tt.domain})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := n.Canonical(t.Context(), tt.name); got != tt.want || err != nil {
			t.Errorf("Canonical(%q) = %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

// I9: names that no server could have are refused before anything is asked.
func TestCanonicalRefuses(t *testing.T) {
	n, err := NewNames(NamesConfig{DefaultDomain: "example.org"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "a\x00b", "a\r\nb", "a\x7f", "a\u0085b", "\xff", strings.Repeat("x", 256), strings.Repeat("x", 250)} {
		if got, err := n.Canonical(t.Context(), name); !errors.Is(err, ErrName) {
			t.Errorf("Canonical(%q) = %q, %v; want ErrName", name, got, err)
		}
	}
	for _, domain := range []string{"a@b", "a b", "a\n"} {
		if _, err := NewNames(NamesConfig{DefaultDomain: domain}); err == nil {
			t.Errorf("default domain %q is taken", domain)
		}
	}
}

func writeAliases(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAliasFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aliases")
	writeAliases(t, path, "# who is who\n\nBoss  Alice # the one\nsales@other.example bob\nbob bob\n")
	n, err := NewNames(NamesConfig{DefaultDomain: "example.org", Aliases: path})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"boss": "alice@example.org", "SALES@other.example": "bob@example.org", "carol": "carol@example.org"}
	for name, canonical := range want {
		if got, err := n.Canonical(t.Context(), name); got != canonical || err != nil {
			t.Errorf("Canonical(%s) = %s, %v; want %s", name, got, err, canonical)
		}
	}
	writeAliases(t, path, "boss carol\n")
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	writeAliases(t, path, "boss\n")
	if err := n.Reload(); err == nil {
		t.Error("a broken file is taken")
	}
	if got, _ := n.Canonical(t.Context(), "boss"); got != "carol@example.org" {
		t.Errorf("after a reload and a broken one boss is %s; want carol@example.org", got)
	}
}

func TestAliasFileErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"a b\nboss\n", ":2: want \"alias canonical\", found 1 words"},
		{"a b c\n", ":1: want"},
		{"a b\n\na c\n", `:3: "a" already stands for "b" (line 1)`},
		{"a b\nb c\n", `:1: "b" is itself an alias (line 2)`},
		{"a \x01\n", ":1: not a user name"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "aliases")
		writeAliases(t, path, tt.text)
		if _, err := NewNames(NamesConfig{Aliases: path}); err == nil || !strings.Contains(err.Error(), path+tt.want) {
			t.Errorf("%q: %v; want %s", tt.text, err, tt.want)
		}
	}
	if _, err := NewNames(NamesConfig{Aliases: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// The token of a look-up that could not be asked, and the password of one whose URL was wrong, stood in the log (I8).
func TestAliasURLHidesSecrets(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	n, err := NewNames(NamesConfig{Aliases: srv.URL + "/aliases?token=secret"})
	if err != nil {
		t.Fatal(err)
	}
	_, asking := n.Canonical(t.Context(), "alice")
	_, parsing := NewNames(NamesConfig{Aliases: "http://a:secret%zz@aliases.example"})
	for _, err := range []error{asking, parsing} {
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v; want an error without the secret", err)
		}
	}
}

func TestAliasURL(t *testing.T) {
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch user := r.URL.Query().Get("user"); user {
		case "boss":
			fmt.Fprintln(w, " Alice ")
		case "long":
			fmt.Fprint(w, strings.Repeat("x", 5000))
		case "empty":
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	n, err := NewNames(NamesConfig{Aliases: srv.URL + "/aliases?token=t"})
	if err != nil {
		t.Fatal(err)
	}
	look := n.aliases.(*aliasURL)
	defer look.client.CloseIdleConnections()
	now := time.Now()
	look.now = func() time.Time { return now }
	for name, want := range map[string]string{"boss": "alice", "bob": "bob", "a&user=boss": "a&user=boss"} {
		if got, err := n.Canonical(t.Context(), name); got != want || err != nil {
			t.Errorf("Canonical(%s) = %s, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"long", "empty", "broken"} {
		if got, err := n.Canonical(t.Context(), name); err == nil || errors.Is(err, ErrName) {
			t.Errorf("Canonical(%s) = %s, %v; want a passing error", name, got, err)
		}
	}
	before := asked.Load()
	ask := func() { _, _ = n.Canonical(t.Context(), "boss") }
	if ask(); asked.Load() != before {
		t.Error("an answer is not remembered")
	}
	now = now.Add(aliasTTL)
	if ask(); asked.Load() != before+1 {
		t.Error("an answer is remembered for ever")
	}
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	if ask(); asked.Load() != before+2 {
		t.Error("Reload does not forget")
	}
	for i := range aliasCache + 1 {
		look.known[fmt.Sprint(i)] = answer{}
	}
	_, _ = n.Canonical(t.Context(), "carol")
	if len(look.known) > aliasCache {
		t.Errorf("%d answers are remembered", len(look.known))
	}
}

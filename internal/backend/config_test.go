package backend

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca")
	if err := os.WriteFile(notPEM, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		change func(*Config)
		want   string // "" if it is taken
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.URL = "imap+starttls://old.example:1143/" }, ""},
		{func(c *Config) { c.URL = "" }, "source.url: missing"},
		{func(c *Config) { c.URL = "old.example" }, `source.url: want only scheme`},
		{func(c *Config) { c.URL = "pop3://old.example" }, `source.url: scheme "pop3"`},
		{func(c *Config) { c.URL = "imaps://alice:secret@old.example" }, "source.url: want only scheme"},
		// An operator who wrote a password into the URL found it in the journal when an escape in it was wrong (I8).
		{func(c *Config) { c.URL = "imaps://alice:secret%zz@old.example" }, "source.url: not a URL"},
		{func(c *Config) { c.URL = "imaps://old.example/INBOX" }, "source.url: want only scheme"},
		{func(c *Config) { c.TLSCA = "/does/not/exist" }, "source.tls_ca: open"},
		{func(c *Config) { c.TLSCA = notPEM }, "holds no PEM certificate"},
		{func(c *Config) { c.Login = "magic" }, `source.login: "magic"`},
		{func(c *Config) { c.Login = Master; c.MasterPassword = "x" }, "source.master_user: missing"},
		{func(c *Config) { c.Login = Shared }, "source.master_password: missing"},
		{func(c *Config) { c.User = "{user}{who}" }, "only {user}, {local} and {domain} are known"},
		{func(c *Config) { c.User = "x@{domain}" }, "so all users would be one"},
		{func(c *Config) { c.ForwardClient = "xclient" }, `source.forward_client: "xclient"`},
	}
	for _, tt := range tests {
		cfg := Defaults()
		cfg.URL = "imaps://old.example"
		tt.change(&cfg)
		_, err := New("source", cfg)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("New: %v; want %q", err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a secret shows: %v", err)
		}
	}
}

func TestAddrAndUserName(t *testing.T) {
	tests := []struct{ url, addr string }{
		{"imaps://old.example", "old.example:993"},
		{"imap+starttls://old.example", "old.example:143"},
		{"imap://old.example:1143", "old.example:1143"},
		{"imaps://[::1]:9930", "[::1]:9930"},
	}
	for _, tt := range tests {
		cfg := Defaults()
		cfg.URL, cfg.User = tt.url, "{local}+{domain}"
		b, err := New("target", cfg)
		if err != nil {
			t.Fatal(err)
		}
		if b.Addr() != tt.addr {
			t.Errorf("Addr() = %s; want %s", b.Addr(), tt.addr)
		}
		if got := b.UserName("{domain}@example.org"); got != "{domain}+example.org" {
			t.Errorf("UserName() = %s", got)
		}
	}
}

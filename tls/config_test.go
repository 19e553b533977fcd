package tls

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// TestValidate defends I9: each mistake is told by its key, with what to do.
func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		toml string
		want []string // one per line of the error; none: valid
	}{
		{"files", `mode = "files"` + "\n" + `cert = "c.pem"` + "\n" + `key = "k.pem"`, nil},
		{"files without files", `mode = "files"`, []string{
			`tls.cert: missing; mode "files" needs the PEM chain`,
			`tls.key: missing; mode "files" needs the PEM private key`,
		}},
		{"self-signed", `mode = "self-signed"`, nil},
		{"self-signed with files", `mode = "self-signed"` + "\n" + `cert = "c.pem"` + "\n" + `key = "k.pem"`, []string{
			`tls.cert: not used with mode "self-signed"`,
			`tls.key: not used with mode "self-signed"`,
		}},
		{"no such mode", `mode = "file"`, []string{`tls.mode: "file" is none; use "acme", "files" or "self-signed"`}},
		{"acme", acmeTOML(""), nil},
		{"acme is the default, and needs names and an address", ``, []string{
			`tls.acme.email: "" is no address`,
			`tls.acme.domains: missing`,
		}},
		{"acme with files", `cert = "c.pem"` + "\n" + acmeTOML(""), []string{`tls.cert: not used with mode "acme"`}},
		{"directory without https", acmeTOML(`directory = "http://ca.example/dir"`), []string{`tls.acme.directory: "http://ca.example/dir" is no https URL`}},
		{"no storage", acmeTOML(`storage = ""`), []string{`tls.acme.storage: missing`}},
		{"name with display name", acmeTOML(`email = "Alice <alice@example.org>"`), []string{`tls.acme.email: "Alice <alice@example.org>" is no address`}},
		{"wildcard", acmeTOML(`domains = ["*.example.org"]`), []string{`tls.acme.domains: "*.example.org": wildcards need a DNS challenge`}},
		{"name with port", acmeTOML(`domains = ["imap.example.org:993"]`), []string{`"imap.example.org:993" is no host name`}},
		{"name with scheme", acmeTOML(`domains = ["imaps://imap.example.org"]`), []string{`"imaps://imap.example.org" is no host name`}},
		{"empty name", acmeTOML(`domains = [""]`), []string{`"" is no host name`}},
		{"name twice", acmeTOML(`domains = ["a.example", "A.example"]`), []string{`"A.example" is listed twice`}},
		{"addresses", acmeTOML(`domains = ["192.0.2.1", "2001:db8::1"]`), nil},
		{"key id without key", acmeTOML(`eab_kid = "kid"`), []string{`tls.acme.eab_key: missing`}},
		{"key without key id", acmeTOML(`eab_key = "c2VjcmV0"`), []string{`tls.acme.eab_kid: missing`}},
		{"key of another alphabet", acmeTOML(`eab_kid = "kid"` + "\n" + `eab_key = "+/+/"`), []string{`tls.acme.eab_key: not base64url`}},
		{"key with padding", acmeTOML(`eab_kid = "kid"` + "\n" + `eab_key = "c2VjcmU="`), nil},
		{"one challenge only", acmeTOML(`http_port = 0`), nil},
		{"no challenge", acmeTOML("http_port = 0\nalpn_port = 0"), []string{`tls.acme.http_port: 0, and alpn_port too`}},
		{"the same port", acmeTOML("http_port = 8080\nalpn_port = 8080"), []string{`tls.acme.alpn_port: 8080 is http_port as well`}},
		{"no port", acmeTOML("http_port = 65536"), []string{`tls.acme.http_port: 65536 is no port`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := DefaultConfig()
			if err := toml.NewDecoder(strings.NewReader(test.toml)).DisallowUnknownFields().Decode(&cfg); err != nil {
				t.Fatal(err)
			}
			wantLines(t, cfg.Validate(), test.want)
		})
	}
}

// acmeTOML is a valid section with one or more keys replaced or added.
func acmeTOML(keys string) string {
	text := "[acme]\n" + keys + "\n"
	for key, value := range map[string]string{"email": `"postmaster@example.org"`, "domains": `["imap.example.org"]`} {
		if !strings.Contains(keys, key+" =") {
			text += key + " = " + value + "\n"
		}
	}
	return text
}

func wantLines(t *testing.T, err error, want []string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if len(got) != len(want) {
		t.Fatalf("Validate() = %q; want %d problems", got, len(want))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("problem %d = %q; want %q in it", i, got[i], want[i])
		}
	}
}

// TestSecret defends I8.
func TestSecret(t *testing.T) {
	cfg := Config{ACME: ACME{EABKey: "c2VjcmV0"}}
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("config", "acme", cfg.ACME, "key", cfg.ACME.EABKey)
	for _, text := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v %#v %q", cfg, cfg, cfg.ACME.EABKey), logged.String()} {
		if strings.Contains(text, "c2VjcmV0") {
			t.Errorf("secret shows in %s", text)
		}
	}
}

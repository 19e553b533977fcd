package tls

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// TestLookInterval: renewal begins with a third of the life left. Five
// intervals have to fit into that, or certmagic renews at every look.
func TestLookInterval(t *testing.T) {
	tests := []struct{ life, want time.Duration }{
		{90 * 24 * time.Hour, longestLook},
		{24 * time.Hour, longestLook},
		{time.Hour, 3 * time.Minute},
		{5 * time.Minute, 15 * time.Second},
		{time.Second, shortestLook},
		{-time.Hour, shortestLook},
	}
	for _, test := range tests {
		got := lookInterval(test.life)
		if got != test.want {
			t.Errorf("lookInterval(%s) = %s; want %s", test.life, got, test.want)
		}
		if test.life > time.Minute && 5*got > test.life/3 {
			t.Errorf("lookInterval(%s) = %s: five of them are longer than the time for renewal", test.life, got)
		}
	}
}

// TestIssuerTemplate: what can be told without the CA is told at start, with
// key and file (I9).
func TestIssuerTemplate(t *testing.T) {
	dir := t.TempDir()
	garbage := write(t, dir, "garbage", []byte("???"))
	tests := []struct {
		name string
		cfg  ACME
		want string // empty: accepted
	}{
		{"no root file", ACME{RootCA: dir + "/none"}, "tls.acme.root_ca: " + dir + "/none: no such file"},
		{"no root in it", ACME{RootCA: garbage}, "tls.acme.root_ca: " + garbage + ": no PEM certificate"},
		{"no MAC key", ACME{EABKID: "kid", EABKey: "???"}, "tls.acme.eab_key: not base64url"},
		{"MAC key with padding", ACME{EABKID: "kid", EABKey: "c2VjcmU="}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			issuer, err := issuerTemplate(test.cfg)
			if test.want == "" && (err != nil || issuer.ExternalAccount.MACKey != "c2VjcmU") {
				t.Errorf("issuerTemplate = %+v, %v", issuer.ExternalAccount, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("issuerTemplate: %v; want %q", err, test.want)
			}
		})
	}
}

// TestNewACMEBadStorage: a certificate that is stored but broken stops the
// start instead of being ordered anew at each restart.
func TestNewACMEBadStorage(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ACME.Email, cfg.ACME.Domains = "postmaster@example.org", []string{"imap.example.org"}
	cfg.ACME.Storage = t.TempDir()
	storage := &certmagic.FileStorage{Path: cfg.ACME.Storage}
	key := (&certmagic.ACMEIssuer{CA: cfg.ACME.Directory}).IssuerKey()
	for _, path := range []string{
		certmagic.StorageKeys.SiteCert(key, "imap.example.org"),
		certmagic.StorageKeys.SitePrivateKey(key, "imap.example.org"),
		certmagic.StorageKeys.SiteMeta(key, "imap.example.org"),
	} {
		if err := storage.Store(t.Context(), path, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "tls.acme.storage: load certificate of imap.example.org") {
		t.Errorf("New() = %v", err)
	}
}

func TestAdvise(t *testing.T) {
	tests := []struct {
		err  error
		want string // the advice; empty: none
	}{
		{errors.New("disk full"), ""},
		{x509.UnknownAuthorityError{}, "set tls.acme.root_ca"},
		{acme.Problem{Type: acme.ProblemTypeExternalAccountRequired}, "set tls.acme.eab_kid and tls.acme.eab_key"},
		{acme.Problem{Type: acme.ProblemTypeConnection}, "port 80 for tls.acme.http_port"},
		{acme.Problem{Type: acme.ProblemTypeUnauthorized}, "port 443 for tls.acme.alpn_port"},
		{acme.Problem{Type: acme.ProblemTypeRateLimited}, ""},
	}
	for _, test := range tests {
		err := fmt.Errorf("obtain: %w", test.err)
		got := advise(err)
		if !errors.Is(got, err) || !strings.HasPrefix(got.Error(), err.Error()) {
			t.Errorf("advise(%v) = %v hides the error", err, got)
		}
		if advice := strings.TrimPrefix(got.Error(), err.Error()); !strings.Contains(advice, test.want) || (advice == "") != (test.want == "") {
			t.Errorf("advise(%v) adds %q; want %q", err, advice, test.want)
		}
	}
}

// TestRenewalEvents: the outcome of certmagic's own jobs reaches Info and log.
func TestRenewalEvents(t *testing.T) {
	var log bytes.Buffer
	o := &ordered{log: slog.New(slog.NewTextHandler(&log, nil)), problems: make(map[string]error)}
	data := map[string]any{"identifier": "imap.example.org", "renewal": true, "error": errors.New("CA is asleep")}
	o.event(context.Background(), "cert_failed", data)
	if err := o.problem("imap.example.org"); err == nil || err.Error() != "renew certificate: CA is asleep" {
		t.Errorf("problem = %v", err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "CA is asleep") {
		t.Errorf("log = %s", &log)
	}
	o.event(context.Background(), "cert_obtained", data)
	if err := o.problem("imap.example.org"); err != nil {
		t.Errorf("problem = %v after the renewal", err)
	}
}

func TestSlogCore(t *testing.T) {
	var log bytes.Buffer
	handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	z := zap.New(&slogCore{handler}).Named("obtain").With(zap.String("name", "a.example"))
	z.Debug("not shown")
	z.Info("not shown either")
	z.Warn("slow", zap.Duration("after", time.Second))
	z.Error("failed", zap.Error(errors.New("no route")), zap.Strings("names", []string{"a", "b"}))
	want := `level=INFO msg=slow name=a.example logger=obtain after=1s
level=WARN msg=failed name=a.example logger=obtain error="no route" names="[a b]"
`
	if log.String() != want {
		t.Errorf("log:\n%swant:\n%s", &log, want)
	}
}

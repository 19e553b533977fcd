package acmetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/tls"
)

const (
	day   = 86400
	short = 8 // seconds: a life in which an order fits several times
)

// TestOrder gets a certificate by each challenge alone and serves it.
func TestOrder(t *testing.T) {
	tests := []struct {
		challenge string
		host      string
		only      func(*tls.ACME)
	}{
		{"HTTP-01", "http.example.org", func(cfg *tls.ACME) { cfg.ALPNPort = 0 }},
		{"TLS-ALPN-01", "alpn.example.org", func(cfg *tls.ACME) { cfg.HTTPPort = 0 }},
	}
	for _, test := range tests {
		t.Run(test.challenge, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t, 90*day)
			cfg := a.config(t, test.host)
			test.only(&cfg.ACME)
			c, log := startReady(t, cfg)
			addr := echoServer(t, c)
			for _, protocols := range [][]string{{"imap"}, nil} {
				if got := mustDial(t, addr, test.host, a.issued, protocols...).leaf().DNSNames; len(got) != 1 || got[0] != test.host {
					t.Errorf("served %q", got)
				}
			}
			for _, protocol := range []string{"h2", "acme-tls/1"} {
				if _, err := dial(addr, test.host, a.issued, protocol); err == nil {
					t.Errorf("a client that offers %s alone got in", protocol)
				}
			}
			wantInfo(t, c, test.host)
			if strings.Contains(log.String(), eabKey) { // I8
				t.Error("the log shows the external account's key")
			}
			if !strings.Contains(log.String(), "acme_client") {
				t.Error("the library's own log went elsewhere")
			}
		})
	}
}

func wantInfo(t *testing.T, c *tls.Certificates, host string) {
	t.Helper()
	infos := c.Info()
	if len(infos) != 1 {
		t.Fatalf("Info() = %v; want one", infos)
	}
	info := infos[0]
	if info.Source != tls.ModeACME || strings.Join(info.Names, " ") != host || info.Problem != "" ||
		!strings.Contains(info.Issuer, "Pebble") || time.Until(info.NotAfter) < 80*day*time.Second {
		t.Errorf("info = %+v", info)
	}
}

// TestNames: one certificate per name, and the first for clients that name
// none or a strange one.
func TestNames(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 90*day)
	cfg := a.config(t, "names.example.org")
	cfg.ACME.Domains = []string{"names.example.org", "Mail.Example.org"}
	c, _ := startReady(t, cfg)
	addr := echoServer(t, c)
	mustDial(t, addr, "names.example.org", a.issued, "imap")
	mustDial(t, addr, "mail.example.org", a.issued, "imap")
	_, err := dial(addr, "other.example.org", a.issued, "imap")
	if err == nil || !strings.Contains(err.Error(), "valid for names.example.org") {
		t.Errorf("a strange name: %v; want the first certificate, and the client's own verdict on it", err)
	}
}

// TestRestart: what was ordered is served at once after a restart, with the CA
// gone.
func TestRestart(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 90*day)
	cfg := a.config(t, "restart.example.org")
	first, _ := startReady(t, cfg)
	before := first.PEM()
	first.Close()

	cfg.ACME.Directory = a.directory // the same account and folder
	cfg.ACME.RootCA = ""             // and no way to trust the CA
	second, _ := start(t, cfg)
	if got := second.PEM(); before == nil || string(got) != string(before) {
		t.Errorf("after the restart:\n%swant:\n%s", got, before)
	}
	mustDial(t, echoServer(t, second), "restart.example.org", a.issued, "imap")
}

// TestRefused: Ready and Info tell what an operator has to set.
func TestRefused(t *testing.T) {
	tests := []struct {
		name  string
		host  string
		spoil func(*tls.ACME)
		want  []string
	}{
		{"no external account", "account.example.org", func(cfg *tls.ACME) { cfg.EABKID, cfg.EABKey = "", "" },
			[]string{"externalAccountRequired", "set tls.acme.eab_kid and tls.acme.eab_key"}},
		{"no root", "root.example.org", func(cfg *tls.ACME) { cfg.RootCA = "" },
			[]string{"certificate signed by unknown authority", "set tls.acme.root_ca"}},
		{"challenge not reachable", "reach.example.org", func(cfg *tls.ACME) { cfg.ALPNPort, cfg.HTTPPort = 0, testbed.Port(t) },
			[]string{"connection refused", "port 80 for tls.acme.http_port"}},
		{"name without address", "imap.example.net", func(*tls.ACME) {},
			[]string{`Could not resolve URL "imap.example.net"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t, 90*day)
			cfg := a.config(t, test.host)
			test.spoil(&cfg.ACME)
			c, _ := start(t, cfg)
			err := c.Ready(t.Context())
			if err == nil {
				t.Fatal("Ready() = nil")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Ready() = %v; want %q in it", err, want)
				}
			}
			if info := c.Info()[0]; info.Problem == "" || !info.NotAfter.IsZero() || c.PEM() != nil {
				t.Errorf("info = %+v; want the problem and no certificate", info)
			}
			if _, err := dial(echoServer(t, c), test.host, a.issued, "imap"); err == nil {
				t.Error("a handshake succeeded without a certificate")
			}
		})
	}
}

// TestReadyEndsWithContext: nobody waits for ever on a CA that does not answer.
func TestReadyEndsWithContext(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, 90*day)
	c, _ := start(t, a.config(t, "ready.example.org"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ready(ctx); err != nil && !strings.Contains(err.Error(), "wait for certificates: context canceled") {
		t.Errorf("Ready() = %v", err)
	}
}

// TestRenewal: a certificate is renewed while a session stays connected and
// goes on exchanging lines; the next handshake gets the new one.
func TestRenewal(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, short)
	c, log := startReady(t, a.config(t, "renew.example.org"))
	addr := echoServer(t, c)
	session := mustDial(t, addr, "renew.example.org", a.issued, "imap")
	before := session.leaf()

	lines := 0
	for deadline := time.Now().Add(patience); ; {
		lines++
		if err := session.exchange(lines); err != nil {
			t.Fatalf("line %d: %v", lines, err)
		}
		if c.Info()[0].NotAfter.After(before.NotAfter) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not renewed\n%s", log)
		}
	}
	// certmagic takes what ends within five of its intervals for an emergency;
	// with an interval that does not fit the life it would order all the time.
	if age, life := time.Since(before.NotBefore), before.NotAfter.Sub(before.NotBefore); age < life/2 {
		t.Errorf("renewed at the age of %s, of %s", age, life)
	}
	after := mustDial(t, addr, "renew.example.org", a.issued, "imap").leaf()
	if after.Equal(before) || after.SerialNumber.Cmp(before.SerialNumber) == 0 {
		t.Error("the next handshake got the old certificate")
	}
	if err := session.exchange(lines + 1); err != nil {
		t.Errorf("the session from before: %v", err)
	}
}

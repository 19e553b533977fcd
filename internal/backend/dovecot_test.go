package backend

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

var someClient = &Client{
	Remote: netip.MustParseAddrPort("203.0.113.7:4711"), Local: netip.MustParseAddrPort("198.51.100.9:993"), Session: "backendtest1",
}

// TestDovecot enters a real server in every way.
func TestDovecot(t *testing.T) {
	testbed.Need(t, "dovecot", "doveadm")
	bed := testbed.ForTest(t)
	d, err := bed.Dovecot(testbed.DovecotOptions{HAProxy: true, Users: map[string]string{"alice": "pass", "bob": "pässwört \"\\"}})
	if err != nil {
		t.Fatal(err)
	}
	enter := func(t *testing.T, url string, change func(*Config)) (*Conn, error) {
		cfg := Defaults()
		cfg.URL, cfg.TLSCA = url, d.CertFile
		change(&cfg)
		b, err := New("source", cfg)
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.Dial(t.Context(), someClient)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		if !b.NeedsSecret() {
			_, err = c.Login(t.Context(), "alice", "")
			return c, err
		}
		_, err = c.LoginOwn(t.Context(), "alice", "pass")
		return c, err
	}
	plain := func(*Config) {}
	master := func(m Method) func(*Config) {
		return func(c *Config) { c.Login, c.MasterUser, c.MasterPassword = m, "master", "masterpass" }
	}
	tests := []struct {
		name, url string
		change    func(*Config)
	}{
		{"imaps", "imaps://" + d.IMAPS(), plain},
		{"starttls", "imap+starttls://" + d.IMAP(), plain},
		{"clear", "imap://" + d.IMAP(), plain},
		{"insecure", "imaps://" + d.IMAPS(), func(c *Config) { c.TLSCA, c.TLSInsecure = "", true }},
		{"proxy-protocol", "imap://" + d.IMAPHAProxy(), func(c *Config) { c.ForwardClient = "proxy-protocol" }},
		{"proxy-protocol-tls", "imaps://" + d.IMAPSHAProxy(), func(c *Config) { c.ForwardClient = "proxy-protocol" }},
		{"master", "imaps://" + d.IMAPS(), master(Master)},
		{"master-suffix", "imaps://" + d.IMAPS(), master(MasterSuffix)},
		{"shared", "imaps://" + d.IMAPS(), func(c *Config) { c.Login, c.MasterPassword = Shared, "pass" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := enter(t, tt.url, tt.change)
			if err != nil {
				t.Fatal(err)
			}
			if !c.Caps.Has("IDLE") {
				t.Errorf("Caps = %v", c.Caps)
			}
			if _, err := c.Command("SELECT INBOX"); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("wrong ca", func(t *testing.T) {
		var refused *Refused
		if _, err := enter(t, "imaps://"+d.IMAPS(), func(c *Config) { c.TLSCA = "" }); err == nil || errors.As(err, &refused) {
			t.Errorf("err = %v; want a failed handshake", err)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		_, err := enter(t, "imaps://"+d.IMAPS(), func(c *Config) { c.Login, c.MasterPassword = Shared, "wrong" })
		refusedAs(t, err, "NO", "AUTHENTICATIONFAILED", "Authentication failed.")
	})
	t.Run("8-bit password", func(t *testing.T) {
		cfg := Defaults()
		cfg.URL, cfg.TLSCA = "imaps://"+d.IMAPS(), d.CertFile
		b, err := New("source", cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, caps := range []Caps{nil, {"IMAP4REV1"}} { // as it is, and as a server without AUTH=PLAIN
			c, err := b.Dial(t.Context(), someClient)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if caps != nil {
				c.Caps = caps
			}
			if _, err := c.LoginOwn(t.Context(), "bob", Secret(d.Options.Users["bob"])); err != nil {
				t.Errorf("with %v: %v", caps, err)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, want := range []string{"rip=203.0.113.7, lip=198.51.100.9", "session=<backendtest1>"} {
		if err := d.AwaitLog(ctx, want); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

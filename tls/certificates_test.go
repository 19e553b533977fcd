package tls

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"slices"
	"testing"
)

func selfSignedForTest(t *testing.T) *Certificates {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Mode = ModeSelfSigned
	cfg.ACME.Domains = []string{"imap.example.org", "192.0.2.7"}
	c, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestHandshake runs real handshakes. Clients verify the self-signed
// certificate by its PEM; none skips the check.
func TestHandshake(t *testing.T) {
	c := selfSignedForTest(t)
	addr := listen(t, c.ServerConfig())
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(c.PEM()) {
		t.Fatal("PEM() holds no certificate")
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		client  *tls.Config
		want    string // the protocol agreed on
		refused bool
	}{
		{name: "imap", client: &tls.Config{ServerName: "localhost", NextProtos: []string{"imap"}}, want: "imap"},
		{name: "imap among others", client: &tls.Config{ServerName: "localhost", NextProtos: []string{"h2", "imap"}}, want: "imap"},
		{name: "no protocol", client: &tls.Config{ServerName: "localhost"}},
		{name: "h2 alone is refused", client: &tls.Config{ServerName: "localhost", NextProtos: []string{"h2"}}, refused: true},
		{name: "acme-tls/1 is not for this port", client: &tls.Config{ServerName: "localhost", NextProtos: []string{"acme-tls/1"}}, refused: true},
		{name: "TLS 1.2", client: &tls.Config{ServerName: "localhost", MaxVersion: tls.VersionTLS12}},
		{name: "TLS 1.1 is refused", client: &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, refused: true},
		{name: "by address", client: &tls.Config{ServerName: "127.0.0.1"}},
		{name: "by IPv6 address", client: &tls.Config{ServerName: "::1"}},
		{name: "by the host's name", client: &tls.Config{ServerName: host}},
		{name: "by a configured name", client: &tls.Config{ServerName: "imap.example.org"}},
		{name: "by a configured address", client: &tls.Config{ServerName: "192.0.2.7"}},
		{name: "by a name that is not in it", client: &tls.Config{ServerName: "other.example"}, refused: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.client.RootCAs = roots
			state, err := connect(addr, test.client)
			if (err != nil) != test.refused {
				t.Fatalf("connect: %v; want refused = %v", err, test.refused)
			}
			if state.NegotiatedProtocol != test.want {
				t.Errorf("protocol = %q; want %q", state.NegotiatedProtocol, test.want)
			}
		})
	}
}

// TestResumption: a client may resume on one listener what it began on the other.
func TestResumption(t *testing.T) {
	c := selfSignedForTest(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.PEM())
	client := &tls.Config{ServerName: "localhost", RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if _, err := connect(listen(t, c.ServerConfig()), client); err != nil {
		t.Fatal(err)
	}
	state, err := connect(listen(t, c.ServerConfig()), client)
	if err != nil {
		t.Fatal(err)
	}
	if !state.DidResume {
		t.Error("second listener did not resume the session")
	}
}

func TestSelfSignedInfo(t *testing.T) {
	c := selfSignedForTest(t)
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("Ready() = %v", err)
	}
	before := c.PEM()
	if err := c.Reload(); err != nil {
		t.Errorf("Reload() = %v", err)
	}
	if string(c.PEM()) != string(before) {
		t.Error("Reload made a new certificate; clients that trust the old one are lost")
	}
	infos := c.Info()
	if len(infos) != 1 {
		t.Fatalf("Info() = %v; want one", infos)
	}
	info := infos[0]
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "imap.example.org", "192.0.2.7"} {
		if !slices.Contains(info.Names, name) {
			t.Errorf("names = %q; want %s among them", info.Names, name)
		}
	}
	if info.Source != ModeSelfSigned || info.Issuer != "CN=imapferry self-signed" || info.NotAfter.Sub(info.NotBefore) < selfSignedLife {
		t.Errorf("info = %+v", info)
	}
}

// TestNewRefusesUnknownMode: a configuration that was not validated is no panic (I9).
func TestNewRefusesUnknownMode(t *testing.T) {
	if _, err := New(t.Context(), Config{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("New accepted an empty mode")
	}
}

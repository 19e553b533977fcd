package proxy

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/state"
)

// logged fails the test unless the server's log soon holds text.
func logged(t *testing.T, d *testbed.Dovecot, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepTimeout)
	defer cancel()
	if err := d.AwaitLog(ctx, text); err != nil {
		t.Errorf("%v", err)
	}
}

// TestDovecot logs in through the proxy to real servers: the source proves every login, by every command, and by
// every method the target is entered.
func TestDovecot(t *testing.T) {
	testbed.Need(t, "dovecot", "doveadm")
	servers := testbed.ForTest(t)
	source, err := servers.Dovecot(testbed.DovecotOptions{HAProxy: true})
	if err != nil {
		t.Fatal(err)
	}
	target, err := servers.Dovecot(testbed.DovecotOptions{HAProxy: true, Users: map[string]string{"alice": "pass", "bob": "all"}})
	if err != nil {
		t.Fatal(err)
	}
	start := func(t *testing.T, change func(*bed)) *bed {
		b := newBed(t)
		b.source.URL, b.source.TLSCA = "imaps://"+source.IMAPS(), source.CertFile
		b.target.URL, b.target.TLSCA = "imaps://"+target.IMAPS(), target.CertFile
		b.source.ForwardClient, b.target.ForwardClient = "id", "id"
		b.cfg.ProxyFrom = loopback()
		b.before = func(c net.Conn) { _, _ = io.WriteString(c, "PROXY TCP4 203.0.113.7 198.51.100.9 4711 993\r\n") }
		change(b)
		return b
	}
	const in = "\nS~ a OK \\[CAPABILITY IMAP4rev1 .*\\] Logged in\nC: b SELECT INBOX\nS~ \\* FLAGS .*"
	logins := map[string]string{
		"login":              "C: a LOGIN alice pass",
		"login literal":      "C: a LOGIN {5}\nS~ \\+.*\nC: alice {4+}\nC: pass",
		"plain":              "C: a AUTHENTICATE PLAIN\nS= \"+ \\r\\n\"\nC: AGFsaWNlAHBhc3M=",
		"plain initial":      "C: a AUTHENTICATE PLAIN AGFsaWNlAHBhc3M=",
		"sasl login":         "C: a AUTHENTICATE LOGIN\nS~ \\+ .*\nC: YWxpY2U=\nS~ \\+ .*\nC: cGFzcw==",
		"sasl login initial": "C: a AUTHENTICATE LOGIN YWxpY2U=\nS~ \\+ .*\nC: cGFzcw==",
	}
	for name, login := range logins {
		t.Run(name, func(t *testing.T) {
			steps(t, start(t, func(*bed) {}), "S~ \\* OK .*\n"+login+in)
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		steps(t, start(t, func(*bed) {}), "S~ \\* OK .*\nC: a LOGIN alice wrong\nS: a NO [AUTHENTICATIONFAILED] Authentication failed.")
	})

	master := func(m backend.Method) func(*bed) {
		return func(b *bed) {
			b.target.Login, b.target.MasterUser, b.target.MasterPassword = m, "master", "masterpass"
		}
	}
	methods := []struct {
		name, login string
		change      func(*bed)
	}{
		{"passthrough", "C: a LOGIN alice pass", func(*bed) {}},
		{"master", "C: a LOGIN bob pass", master(backend.Master)},
		{"master-suffix", "C: a LOGIN bob pass", master(backend.MasterSuffix)},
		{"shared", "C: a LOGIN bob pass", func(b *bed) { b.target.Login, b.target.MasterPassword = backend.Shared, "all" }},
	}
	for _, tt := range methods {
		t.Run("target by "+tt.name, func(t *testing.T) {
			b := start(t, func(b *bed) {
				b.cfg.Prove = ProveSource
				tt.change(b)
				for _, user := range []string{"alice", "bob"} {
					b.store.put(state.Record{User: user, Phase: state.Migrated, Fidelity: state.Exact})
				}
			})
			steps(t, b, "S~ \\* OK .*\n"+tt.login+in)
			logged(t, target, "rip=203.0.113.7, lip=198.51.100.9")
		})
	}
	// Forwarded by ID so far; the source has seen the client's address in every login.
	logged(t, source, "rip=203.0.113.7, lip=198.51.100.9")

	t.Run("proxy protocol", func(t *testing.T) {
		b := start(t, func(b *bed) {
			b.source.URL, b.source.ForwardClient = "imaps://"+source.IMAPSHAProxy(), "proxy-protocol"
			b.before = func(c net.Conn) { _, _ = io.WriteString(c, "PROXY TCP4 203.0.113.8 198.51.100.9 4712 993\r\n") }
		})
		steps(t, b, "S~ \\* OK .*\nC: a LOGIN alice pass"+in)
		logged(t, source, "rip=203.0.113.8, lip=198.51.100.9")
	})

	t.Run("killed", func(t *testing.T) {
		b := start(t, func(*bed) {})
		if err := source.Kill(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		steps(t, b, "S~ \\* OK .*\nC: a LOGIN alice pass\nS~ a NO \\[UNAVAILABLE\\] .*")
		t.Logf("refused after %s", time.Since(began))
	})
}

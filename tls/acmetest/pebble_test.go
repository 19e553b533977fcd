package acmetest

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"imapferry/internal/testbed"
	"imapferry/tls"
)

// The external account that pebble demands.
const (
	eabKID = "kid-1"
	eabKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
)

// TestMain makes pebble quick and predictable: no random pauses before a
// validation, no good nonce refused, every order validated anew.
func TestMain(m *testing.M) {
	for key, value := range map[string]string{
		"PEBBLE_VA_NOSLEEP":      "1",
		"PEBBLE_WFE_NONCEREJECT": "0",
		"PEBBLE_AUTHZREUSE":      "0",
	} {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m,
		// Pebble's validation loop has no end, certmagic's rate limiter lives as
		// long as the process, and what keeps its lock files fresh notices
		// seconds later that the lock is gone.
		goleak.IgnoreTopFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	)
}

// authority is one pebble and what a client of it needs to know.
type authority struct {
	directory string
	rootFile  string         // PEM of the root that signed the directory's certificate
	issued    *x509.CertPool // root of the certificates that it issues
	httpPort  int
	alpnPort  int
}

// newAuthority starts a pebble that demands an external account and issues
// certificates that live for so many seconds.
func newAuthority(t *testing.T, seconds uint64) *authority {
	t.Helper()
	log := stdlog.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	if err := store.AddExternalAccountKeyByID(eabKID, eabKey); err != nil {
		t.Fatal(err)
	}
	a := &authority{httpPort: testbed.Port(t), alpnPort: testbed.Port(t)}
	// One profile only: of several, pebble picks one at random.
	issuer := ca.New(log, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: seconds}})
	validator := va.New(log, a.httpPort, a.alpnPort, true, dnsServer(t), store)
	front := wfe.New(log, store, validator, issuer, []string{"ca.example"}, true, true, 0, 0)

	server := httptest.NewUnstartedServer(withoutRenewalInfo(front.Handler()))
	server.Config.ErrorLog = log
	server.StartTLS()
	t.Cleanup(server.Close)
	a.directory = server.URL + wfe.DirectoryPath
	a.rootFile = filepath.Join(t.TempDir(), "root.pem")
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(a.rootFile, root, 0o600); err != nil {
		t.Fatal(err)
	}
	a.issued = x509.NewCertPool()
	recorder := httptest.NewRecorder()
	front.ManagementHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, wfe.RootCertPath+"0", nil))
	if !a.issued.AppendCertsFromPEM(recorder.Body.Bytes()) {
		t.Fatalf("pebble's root: %s", recorder.Body)
	}
	return a
}

// config orders a certificate for name by both challenges. The tests run side
// by side, and certmagic keeps the challenges of a process by name, so each
// needs a name of its own.
func (a *authority) config(t *testing.T, name string) tls.Config {
	t.Helper()
	cfg := tls.DefaultConfig()
	cfg.ACME.Directory = a.directory
	cfg.ACME.Email = "postmaster@example.org"
	cfg.ACME.Domains = []string{name}
	cfg.ACME.EABKID = eabKID
	cfg.ACME.EABKey = eabKey
	cfg.ACME.HTTPPort = a.httpPort
	cfg.ACME.ALPNPort = a.alpnPort
	cfg.ACME.ListenHost = "127.0.0.1"
	cfg.ACME.RootCA = a.rootFile
	cfg.ACME.Storage = t.TempDir()
	return cfg
}

// withoutRenewalInfo hides ARI (RFC 9773): for certificates that live for
// seconds, pebble's suggested window is their whole life, and the moment of
// renewal a random one.
func withoutRenewalInfo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wfe.DirectoryPath {
			next.ServeHTTP(w, r)
			return
		}
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, r)
		var directory map[string]any
		if err := json.Unmarshal(recorder.Body.Bytes(), &directory); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		delete(directory, "renewalInfo")
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(directory); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
}

// dnsServer answers over TCP, as pebble asks, that every name is 127.0.0.1.
func dnsServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(answerLoopback)}
	started, done := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(started) }
	go func() { done <- server.ActivateAndServe() }()
	select {
	case <-started:
	case err := <-done:
		t.Fatalf("start DNS server: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Errorf("stop DNS server: %v", err)
		}
		<-done
	})
	return ln.Addr().String()
}

func answerLoopback(w dns.ResponseWriter, query *dns.Msg) {
	answer := new(dns.Msg)
	answer.SetReply(query)
	for _, q := range query.Question {
		if q.Qtype != dns.TypeA || !strings.HasSuffix(q.Name, ".example.org.") {
			continue
		}
		rr, err := dns.NewRR(fmt.Sprintf("%s 60 IN A 127.0.0.1", q.Name))
		if err == nil {
			answer.Answer = append(answer.Answer, rr)
		}
	}
	if err := w.WriteMsg(answer); err != nil {
		w.Close()
	}
}

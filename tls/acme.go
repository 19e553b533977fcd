package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

const (
	// A failed order is tried again after 2, 4, 8 … minutes: Let's Encrypt
	// takes five failed validations per name and hour.
	firstRetry = 2 * time.Minute
	lastRetry  = time.Hour

	// Certificates are looked at twenty times in their life, within these
	// bounds. certmagic's fixed ten minutes would be too seldom for a private
	// CA whose certificates live for minutes, and worse, it takes one that
	// ends within five intervals for an emergency and renews it at each look.
	looksPerLife = 20
	shortestLook = 250 * time.Millisecond
	longestLook  = 10 * time.Minute
)

// ordered serves certificates from an ACME CA. certmagic orders, stores and
// renews them; what is ours is when to try, what to serve to whom, and to tell
// the operator what is wrong.
type ordered struct {
	// immutable
	domains []string
	cache   *certmagic.Cache
	magic   *certmagic.Config
	log     *slog.Logger
	wake    chan struct{} // reload: try again now
	tried   chan struct{} // closed when every name has been tried once

	// owned by background
	options certmagic.CacheOptions

	mu       sync.Mutex
	problems map[string]error // guarded by mu: the last failure of a name
}

func newACME(ctx context.Context, cfg ACME, log *slog.Logger) (*ordered, error) {
	issuer, err := issuerTemplate(cfg)
	if err != nil {
		return nil, err
	}
	o := &ordered{
		domains:  lowerCase(cfg.Domains),
		log:      log,
		wake:     make(chan struct{}, 1),
		tried:    make(chan struct{}),
		problems: make(map[string]error),
	}
	zapLog := zap.New(&slogCore{log.Handler()})
	issuer.Logger = zapLog
	o.options = certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return o.magic, nil },
		RenewCheckInterval: longestLook,
		Logger:             zapLog,
	}
	o.cache = certmagic.NewCache(o.options)
	o.magic = certmagic.New(o.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: cfg.Storage},
		Logger:  zapLog,
		OnEvent: o.event,
		// We order no certificate that demands a stapled response (RFC 7633),
		// so asking the CA's responder would only cost and tell it who we are.
		OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	o.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(o.magic, issuer)}
	if err := o.loadStored(ctx); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// issuerTemplate sets every field that certmagic would otherwise take from its
// package variables; an empty e-mail would make it ask on standard input.
func issuerTemplate(cfg ACME) (certmagic.ACMEIssuer, error) {
	issuer := certmagic.ACMEIssuer{
		CA:                      cfg.Directory,
		Email:                   cfg.Email,
		Agreed:                  true,
		DisableHTTPChallenge:    cfg.HTTPPort == 0,
		DisableTLSALPNChallenge: cfg.ALPNPort == 0,
		ListenHost:              cfg.ListenHost,
		AltHTTPPort:             cfg.HTTPPort,
		AltTLSALPNPort:          cfg.ALPNPort,
	}
	if cfg.EABKID != "" {
		key, err := cfg.EABKey.macKey()
		if err != nil {
			return issuer, fmt.Errorf("tls.acme.eab_key: %w", err)
		}
		issuer.ExternalAccount = &acme.EAB{KeyID: cfg.EABKID, MACKey: key}
	}
	if cfg.RootCA != "" {
		data, err := readFile("tls.acme.root_ca", cfg.RootCA)
		if err != nil {
			return issuer, err
		}
		issuer.TrustedRoots = x509.NewCertPool()
		if !issuer.TrustedRoots.AppendCertsFromPEM(data) {
			return issuer, fmt.Errorf("tls.acme.root_ca: %s: %w", cfg.RootCA, errNoCertificateBlock)
		}
	}
	return issuer, nil
}

func lowerCase(names []string) []string {
	lower := make([]string, len(names))
	for i, name := range names {
		lower[i] = strings.ToLower(name)
	}
	return lower
}

// loadStored brings in what earlier runs have ordered, so that a restart
// serves at once even while the CA is out of reach.
func (o *ordered) loadStored(ctx context.Context) error {
	for _, name := range o.domains {
		_, err := o.magic.CacheManagedCertificate(ctx, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tls.acme.storage: load certificate of %s: %w", name, err)
		}
	}
	return nil
}

// certificate prefers the name that the client asks for. A client that names
// none, or one that is not ours (an alias, a bare address), gets the first
// name's: its own message about the wrong name says more than an alert would.
func (o *ordered) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	asked := strings.ToLower(hello.ServerName)
	if slices.Contains(o.domains, asked) {
		if cert := o.cached(asked); cert != nil {
			return &cert.Certificate, nil
		}
	}
	for _, name := range o.domains {
		if cert := o.cached(name); cert != nil {
			return &cert.Certificate, nil
		}
	}
	return nil, errNoCertificate
}

// cached returns the certificate of name that lasts longest, or nil.
func (o *ordered) cached(name string) *certmagic.Certificate {
	var best *certmagic.Certificate
	for _, cert := range o.cache.AllMatchingCertificates(name) {
		if cert.Leaf != nil && (best == nil || cert.Leaf.NotAfter.After(best.Leaf.NotAfter)) {
			best = &cert
		}
	}
	return best
}

func (o *ordered) info() []Info {
	infos := make([]Info, len(o.domains))
	for i, name := range o.domains {
		infos[i] = Info{Source: ModeACME, Names: []string{name}}
		if cert := o.cached(name); cert != nil {
			infos[i] = describe(ModeACME, cert.Leaf)
		}
		if err := o.problem(name); err != nil {
			infos[i].Problem = err.Error()
		}
	}
	return infos
}

func (o *ordered) ready(ctx context.Context) error {
	select {
	case <-o.tried:
	case <-ctx.Done():
		return fmt.Errorf("wait for certificates: %w", ctx.Err())
	}
	var missing []error
	for _, name := range o.domains {
		if o.cached(name) != nil {
			continue
		}
		err := o.problem(name)
		if err == nil {
			err = errNoCertificate // closed while the order ran
		}
		missing = append(missing, fmt.Errorf("%s: %w", name, err))
	}
	return errors.Join(missing...)
}

func (o *ordered) reload() error {
	select {
	case o.wake <- struct{}{}:
	default: // it is awake already
	}
	return nil
}

// close ends certmagic's maintenance. The context has ended, so that a job
// still running gives up and releases its locks by itself.
func (o *ordered) close() { o.cache.Stop() }

func (o *ordered) problem(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.problems[name]
}

func (o *ordered) setProblem(name string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.problems, name)
		return
	}
	o.problems[name] = err
}

package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// protocol is the one ALPN protocol of an IMAP server.
const protocol = "imap"

// Certificates are the certificates of one configuration, kept fresh.
type Certificates struct {
	source source
	server *tls.Config

	cancel context.CancelFunc
	wait   sync.WaitGroup // the background goroutine
	closed sync.Once
}

// source is where the certificates of one mode come from. All methods may be
// called at the same time.
type source interface {
	certificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	info() []Info
	// ready waits for the first certificates and tells what is in their way.
	ready(context.Context) error
	reload() error
	// background keeps the certificates fresh until the context ends.
	background(context.Context)
	close()
}

// Info tells operators what one certificate is. A name that has none yet
// has only Source, Names and Problem.
type Info struct {
	Source    string    `json:"source"` // a mode
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Problem   string    `json:"problem,omitempty"` // why it cannot be had, or not be renewed
}

// New loads or makes the certificates that cfg describes and keeps them fresh
// until ctx ends or Close is called; Close is due in any case. cfg must have
// passed Validate.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Certificates, error) {
	src, err := newSource(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	return serve(ctx, src), nil
}

func newSource(ctx context.Context, cfg Config, log *slog.Logger) (source, error) {
	switch cfg.Mode {
	case ModeFiles:
		return newFiles(cfg, log, time.Tick(pollInterval))
	case ModeACME:
		return newACME(ctx, cfg.ACME, log)
	case ModeSelfSigned:
		return newSelfSigned(cfg.ACME.Domains)
	}
	return nil, cfg.Validate()
}

func serve(ctx context.Context, src source) *Certificates {
	c := &Certificates{source: src}
	c.server = &tls.Config{
		MinVersion:     tls.VersionTLS12, // RFC 8997, RFC 8996
		NextProtos:     []string{protocol},
		GetCertificate: src.certificate,
	}
	ctx, c.cancel = context.WithCancel(ctx)
	c.wait.Go(func() { c.source.background(ctx) })
	return c
}

// ServerConfig returns the configuration for every listener. It is always the
// same one, so that a client can resume on 143 what it began on 993; it must
// not be changed.
func (c *Certificates) ServerConfig() *tls.Config { return c.server }

// Ready waits until there is a certificate for every name, or until it is
// known why there is none. Only mode acme ever waits.
func (c *Certificates) Ready(ctx context.Context) error { return c.source.ready(ctx) }

// Reload reads changed files again (the SIGHUP path). On any error the old
// certificate stays and the error says so. In mode acme it tries names that
// have no certificate at once, without waiting for the result.
func (c *Certificates) Reload() error { return c.source.reload() }

// Info lists what is being served, the certificate for clients that name no
// server first.
func (c *Certificates) Info() []Info { return c.source.info() }

// PEM returns the chain that a client which names no server gets, so that
// clients of a self-signed server can trust exactly this certificate; nil
// while there is none.
func (c *Certificates) PEM() []byte {
	cert, err := c.source.certificate(&tls.ClientHelloInfo{})
	if err != nil {
		return nil
	}
	var chain []byte
	for _, der := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der})...)
	}
	return chain
}

// Close stops the background work and waits for it. Handshakes still work. It
// may be called more than once.
func (c *Certificates) Close() {
	c.cancel()
	c.wait.Wait()
	c.closed.Do(c.source.close)
}

// errNoCertificate is what a handshake meets before the first order is through.
var errNoCertificate = errors.New("no certificate yet; see the log for what keeps the order from succeeding")

func describe(mode string, leaf *x509.Certificate) Info {
	info := Info{
		Source:    mode,
		Names:     append([]string(nil), leaf.DNSNames...),
		Issuer:    leaf.Issuer.String(),
		NotBefore: leaf.NotBefore,
		NotAfter:  leaf.NotAfter,
	}
	for _, ip := range leaf.IPAddresses {
		info.Names = append(info.Names, ip.String())
	}
	return info
}

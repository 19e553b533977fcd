package tls

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

// selfSignedLife is longer than a trial and shorter than the 398 days beyond
// which some clients refuse a certificate. Each start makes a new one.
const selfSignedLife = 365 * 24 * time.Hour

// selfSigned serves one certificate for as long as the process lives.
type selfSigned struct{ cert *tls.Certificate }

func newSelfSigned(domains []string) (*selfSigned, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make self-signed key: %w", err)
	}
	template, err := selfSignedTemplate(domains, time.Now())
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make self-signed certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read self-signed certificate back: %w", err)
	}
	return &selfSigned{&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}, nil
}

// selfSignedTemplate is no CA, so that who trusts it trusts this server alone.
// It begins an hour early for clients whose clock is behind.
func selfSignedTemplate(domains []string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make self-signed serial: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "imapferry self-signed"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range selfSignedNames(domains) {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return template, nil
}

func selfSignedNames(domains []string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		domains = append([]string{host}, domains...)
	}
	for _, name := range domains {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (s *selfSigned) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert, nil }

func (s *selfSigned) info() []Info { return []Info{describe(ModeSelfSigned, s.cert.Leaf)} }

func (*selfSigned) ready(context.Context) error { return nil }

// reload keeps the certificate: whoever trusts it must not have to start anew.
func (*selfSigned) reload() error { return nil }

func (*selfSigned) background(context.Context) {}

func (*selfSigned) close() {}

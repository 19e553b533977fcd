package testbed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate is one self-signed certificate that all servers of a bed share.
type certificate struct{ certFile, keyFile string }

// tls returns the bed's certificate and makes it at the first call.
func (b *Bed) tls() (*certificate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cert != nil {
		return b.cert, nil
	}
	c := &certificate{filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")}
	if err := c.write(); err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	b.cert = c
	return c, nil
}

func (c *certificate) write() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// Its own authority, so that clients can be given it as the one they trust.
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(c.certFile, "CERTIFICATE", cert, 0o644); err != nil {
		return err
	}
	return writePEM(c.keyFile, "PRIVATE KEY", pkcs8, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

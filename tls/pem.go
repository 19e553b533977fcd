package tls

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const certificateBlock = "CERTIFICATE"

// tlsFeature is the extension by which a certificate demands a stapled OCSP
// response (RFC 7633).
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

var (
	errNoCertificateBlock = errors.New("no PEM certificate in it; give the chain, the server's certificate first")
	errKeyAsCertificate   = errors.New("holds a private key and no certificate; are cert and key swapped?")
	errNoKeyBlock         = errors.New("no PEM private key in it; give the key that belongs to the certificate")
	errCertificateAsKey   = errors.New("holds a certificate and no private key; are cert and key swapped?")
	errEncryptedKey       = errors.New("the key is encrypted and nobody is there to ask for its passphrase; decrypt it with: openssl pkey -in FILE -out FILE")
	errOtherKey           = errors.New("the key belongs to another certificate; put files of the same order in place")
)

// parseChain returns the certificates of a PEM file in their order. Other
// blocks are passed over, because some tools put key and chain in one file.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	sawKey := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		sawKey = sawKey || isKey(block)
		if block.Type != certificateBlock {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificate %d of the chain: %w", len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	switch {
	case len(chain) > 0:
		return chain, nil
	case sawKey:
		return nil, errKeyAsCertificate
	}
	return nil, errNoCertificateBlock
}

// parseKey returns the first private key of a PEM file.
func parseKey(data []byte) (crypto.Signer, error) {
	sawCertificate := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		sawCertificate = sawCertificate || block.Type == certificateBlock
		if isKey(block) {
			return parseKeyBlock(block)
		}
	}
	if sawCertificate {
		return nil, errCertificateAsKey
	}
	return nil, errNoKeyBlock
}

func isKey(block *pem.Block) bool { return strings.HasSuffix(block.Type, "PRIVATE KEY") }

func parseKeyBlock(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errEncryptedKey
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", strings.ToLower(block.Type), err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign; use an ECDSA, RSA or Ed25519 key", key)
	}
	return signer, nil
}

// matchKey demands that the key belongs to the first certificate, which is the
// one that is served.
func matchKey(chain []*x509.Certificate, key crypto.Signer) error {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return errOtherKey
	}
	for i, cert := range chain {
		if !public.Equal(cert.PublicKey) {
			continue
		}
		if i > 0 {
			return fmt.Errorf("the key belongs to certificate %d of the chain; put the server's certificate first", i+1)
		}
		return nil
	}
	return errOtherKey
}

func mustStaple(cert *x509.Certificate) bool {
	for _, ext := range cert.Extensions {
		if ext.Id.Equal(tlsFeature) {
			return true
		}
	}
	return false
}

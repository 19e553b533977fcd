package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// issued is a certificate for tests, in the forms that the tests need.
type issued struct {
	certPEM, keyPEM []byte
	leaf            *x509.Certificate
}

// issue makes a self-signed certificate for name that ends at notAfter.
func issue(t *testing.T, name string, notAfter time.Time, extensions ...pkix.Extension) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:    big.NewInt(time.Now().UnixNano()),
		Subject:         pkix.Name{CommonName: name},
		DNSNames:        []string{name},
		NotBefore:       notAfter.Add(-48 * time.Hour),
		NotAfter:        notAfter,
		ExtraExtensions: extensions,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{
		certPEM: pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}),
		keyPEM:  keyBlock(t, key),
		leaf:    leaf,
	}
}

func keyBlock(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func valid() time.Time { return time.Now().Add(24 * time.Hour).Truncate(time.Second) }

func write(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// greeting is what the test server says to whoever gets in.
const greeting = "* OK IMAP4rev1 ready\r\n"

// listen starts a TLS server on loopback that greets and hangs up, and returns
// its address. It ends with the test.
func listen(t *testing.T, config *tls.Config) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go greetAll(ln, done)
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

func greetAll(ln net.Listener, done chan struct{}) {
	defer close(done)
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conn.Write([]byte(greeting)) // a refused handshake shows on the client's side
		conn.Close()
	}
}

// connect makes one full handshake, reads the greeting and returns what the
// client has seen.
func connect(addr string, config *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.ReadFull(conn, make([]byte, len(greeting)))
	return conn.ConnectionState(), err
}

// served returns the certificate that a new client gets.
func served(t *testing.T, addr string) *x509.Certificate {
	t.Helper()
	state, err := connect(addr, &tls.Config{InsecureSkipVerify: true}) // only which one is served matters here
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0]
}

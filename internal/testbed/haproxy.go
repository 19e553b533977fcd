package testbed

import (
	"fmt"
	"os"
	"path/filepath"
)

const haproxyConf = `global
  maxconn 9900
  nbthread 2
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 5s
  timeout client 24h
  timeout server 24h
frontend imaps
  bind %s ssl crt %s
  default_backend imap
backend imap
  server s1 %s
`

// HAProxy starts HAProxy, which ends TLS and passes on bytes without looking
// at them, in front of a backend that speaks IMAP in clear text.
func (b *Bed) HAProxy(backend string) (*Program, error) {
	text := func(dir, addr string, cert *certificate) (string, error) {
		var both []byte
		for _, file := range []string{cert.certFile, cert.keyFile} {
			part, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			both = append(both, part...)
		}
		pem := filepath.Join(dir, "both.pem")
		return fmt.Sprintf(haproxyConf, addr, pem, backend), os.WriteFile(pem, both, 0o600)
	}
	p, err := b.configured("h", text, "haproxy", "-db", "-f")
	if err != nil {
		return nil, fmt.Errorf("make haproxy: %w", err)
	}
	return p, nil
}

package backend

import (
	cryptotls "crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
)

// Secret is a password or token. It never shows in logs, errors or formats.
type Secret string

const redacted = "redacted"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText reads a secret from configuration.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// Method is how a user is entered without proving anything.
type Method string

// The login methods.
const (
	Passthrough  Method = "passthrough"   // the user's own secret
	Master       Method = "master"        // SASL PLAIN with authorization identity
	MasterSuffix Method = "master-suffix" // user*master
	Shared       Method = "shared"        // one password for all
)

// Config is the part of [source] and [target] that says how to reach and enter the server. Its tags are the keys of the file.
type Config struct {
	URL             string `toml:"url"`              // imaps://host[:993], imap+starttls://host[:143], imap://host[:143]
	TLSCA           string `toml:"tls_ca"`           // PEM file; empty: system roots
	TLSInsecure     bool   `toml:"tls_insecure"`     // certificates are not verified
	Login           Method `toml:"login"`            // default passthrough
	MasterUser      string `toml:"master_user"`      // for master and master-suffix
	MasterPassword  Secret `toml:"master_password"`  // for master, master-suffix and shared
	MasterSeparator string `toml:"master_separator"` // for master-suffix, default *
	User            string `toml:"user"`             // template: {user} {local} {domain}, default {user}
	ForwardClient   string `toml:"forward_client"`   // id, proxy-protocol or none; default id
}

// Backend is one mail server. It is immutable and safe for concurrent use.
type Backend struct {
	name     string // source or target
	cfg      Config
	addr     string
	starttls bool
	tls      *cryptotls.Config // nil without TLS
}

// Defaults returns a Config with every default set.
func Defaults() Config {
	return Config{Login: Passthrough, MasterSeparator: "*", User: "{user}", ForwardClient: "id"}
}

// New checks cfg whole and returns the backend. name is source or target; errors begin with it and the key.
func New(name string, cfg Config) (*Backend, error) {
	b := &Backend{name: name, cfg: cfg}
	errs := []error{b.parseURL(), b.checkLogin(), b.checkUser()}
	switch cfg.ForwardClient {
	case "id", "proxy-protocol", "none":
	default:
		errs = append(errs, b.errorf("forward_client", "%q is not one of id, proxy-protocol, none", cfg.ForwardClient))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

// Name returns source or target.
func (b *Backend) Name() string { return b.name }

// Addr returns host:port.
func (b *Backend) Addr() string { return b.addr }

// Method returns how users are entered.
func (b *Backend) Method() Method { return b.cfg.Login }

// NeedsSecret reports whether Login needs the user's own secret.
func (b *Backend) NeedsSecret() bool { return b.cfg.Login == Passthrough }

// WithURL returns a backend that differs only in where it is: another listener of the same server.
func (b *Backend) WithURL(u string) (*Backend, error) {
	cfg := b.cfg
	cfg.URL = u
	return New(b.name, cfg)
}

func (b *Backend) errorf(key, format string, args ...any) error {
	return fmt.Errorf("%s.%s: "+format, append([]any{b.name, key}, args...)...)
}

func (b *Backend) parseURL() error {
	if b.cfg.URL == "" {
		return b.errorf("url", "missing; give the server as imaps://host:993")
	}
	u, err := url.Parse(b.cfg.URL)
	if err != nil {
		return b.errorf("url", "not a URL; give the server as imaps://host:993") // without its text, which may hold a password (I8)
	}
	if u.User != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return b.errorf("url", "want only scheme, host and port, as in imaps://host:993")
	}
	port := u.Port()
	switch u.Scheme {
	case "imaps":
		b.addr = net.JoinHostPort(u.Hostname(), or(port, "993"))
	case "imap+starttls":
		b.starttls = true
		b.addr = net.JoinHostPort(u.Hostname(), or(port, "143"))
	case "imap":
		b.addr = net.JoinHostPort(u.Hostname(), or(port, "143"))
		return nil
	default:
		return b.errorf("url", "scheme %q is not one of imaps, imap+starttls, imap", u.Scheme)
	}
	return b.loadTLS(u.Hostname())
}

func (b *Backend) loadTLS(host string) error {
	b.tls = &cryptotls.Config{ServerName: host, InsecureSkipVerify: b.cfg.TLSInsecure, NextProtos: []string{"imap"}}
	if b.cfg.TLSCA == "" {
		return nil
	}
	pem, err := os.ReadFile(b.cfg.TLSCA)
	if err != nil {
		return b.errorf("tls_ca", "%w", err)
	}
	b.tls.RootCAs = x509.NewCertPool()
	if !b.tls.RootCAs.AppendCertsFromPEM(pem) {
		return b.errorf("tls_ca", "%s holds no PEM certificate", b.cfg.TLSCA)
	}
	return nil
}

func (b *Backend) checkLogin() error {
	switch b.cfg.Login {
	case Passthrough:
		return nil
	case Master, MasterSuffix:
		if b.cfg.MasterUser == "" {
			return b.errorf("master_user", "missing; login = %q needs it", b.cfg.Login)
		}
	case Shared:
	default:
		return b.errorf("login", "%q is not one of passthrough, master, master-suffix, shared", b.cfg.Login)
	}
	if b.cfg.MasterPassword == "" {
		return b.errorf("master_password", "missing; login = %q needs it", b.cfg.Login)
	}
	return nil
}

func (b *Backend) checkUser() error {
	rest := strings.NewReplacer("{user}", "", "{local}", "", "{domain}", "").Replace(b.cfg.User)
	if strings.ContainsAny(rest, "{}") {
		return b.errorf("user", "%q: only {user}, {local} and {domain} are known", b.cfg.User)
	}
	if !strings.Contains(b.cfg.User, "{user}") && !strings.Contains(b.cfg.User, "{local}") {
		return b.errorf("user", "%q names neither {user} nor {local}, so all users would be one", b.cfg.User)
	}
	return nil
}

// UserName returns the name under which the server knows user, by the template.
func (b *Backend) UserName(user string) string {
	local, domain, _ := strings.Cut(user, "@")
	return strings.NewReplacer("{user}", user, "{local}", local, "{domain}", domain).Replace(b.cfg.User)
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

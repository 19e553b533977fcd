package tls

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/certmagic"
)

// The values of Config.Mode.
const (
	ModeACME       = "acme"        // ordered from a CA and renewed
	ModeFiles      = "files"       // PEM files that somebody else keeps fresh
	ModeSelfSigned = "self-signed" // made at start, for trials
)

// Config is the section [tls] of the configuration file.
type Config struct {
	Mode string `toml:"mode"`
	Cert string `toml:"cert"` // mode files: PEM chain, the server's own certificate first
	Key  string `toml:"key"`  // mode files: PEM private key
	ACME ACME   `toml:"acme"`
}

// ACME is the section [tls.acme].
type ACME struct {
	Directory  string   `toml:"directory"`   // URL of the CA's directory
	Email      string   `toml:"email"`       // contact of the account
	Domains    []string `toml:"domains"`     // names to order, one certificate each; the first is served to clients that name none
	EABKID     string   `toml:"eab_kid"`     // external account binding (RFC 8555 7.3.4): key id
	EABKey     Secret   `toml:"eab_key"`     // and MAC key, base64url
	HTTPPort   int      `toml:"http_port"`   // HTTP-01 listener; 0: no HTTP-01
	ALPNPort   int      `toml:"alpn_port"`   // TLS-ALPN-01 listener; 0: no TLS-ALPN-01
	ListenHost string   `toml:"listen_host"` // address of both listeners; empty: all
	RootCA     string   `toml:"root_ca"`     // PEM roots for the directory's own certificate; empty: system roots
	Storage    string   `toml:"storage"`     // folder for the account, certificates and keys
}

// DefaultConfig is what holds for keys that the configuration file leaves out.
// A port of 0 means off, so defaults have to be in place before a file is read.
func DefaultConfig() Config {
	return Config{
		Mode: ModeACME,
		ACME: ACME{
			Directory: certmagic.LetsEncryptProductionCA,
			HTTPPort:  certmagic.HTTPChallengePort,
			ALPNPort:  certmagic.TLSALPNChallengePort,
			Storage:   "/var/lib/imapferry/acme",
		},
	}
}

// Secret is a string that no log and no error shows (I8).
type Secret string

const redacted = "redacted"

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return redacted }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Validate checks what can be told from the keys alone and returns every
// problem found, each with its key and what to do. Files are read by New.
func (c *Config) Validate() error {
	var p problems
	switch c.Mode {
	case ModeFiles:
		c.validateFiles(&p)
	case ModeACME:
		c.validateUnused(&p)
		c.ACME.validate(&p)
	case ModeSelfSigned:
		c.validateUnused(&p)
	default:
		p.add("tls.mode", "%q is none; use %q, %q or %q", c.Mode, ModeACME, ModeFiles, ModeSelfSigned)
	}
	return errors.Join(p...)
}

func (c *Config) validateFiles(p *problems) {
	if c.Cert == "" {
		p.add("tls.cert", `missing; mode "files" needs the PEM chain`)
	}
	if c.Key == "" {
		p.add("tls.key", `missing; mode "files" needs the PEM private key`)
	}
}

// validateUnused refuses files that would silently not be served.
func (c *Config) validateUnused(p *problems) {
	if c.Cert != "" {
		p.add("tls.cert", `not used with mode %q; remove it, or set mode = "files"`, c.Mode)
	}
	if c.Key != "" {
		p.add("tls.key", `not used with mode %q; remove it, or set mode = "files"`, c.Mode)
	}
}

func (a *ACME) validate(p *problems) {
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		p.add("tls.acme.directory", "%q is no https URL; give the CA's ACME directory, such as %s",
			a.Directory, certmagic.LetsEncryptProductionCA)
	}
	if addr, err := mail.ParseAddress(a.Email); err != nil || addr.Address != a.Email {
		p.add("tls.acme.email", "%q is no address; give one the CA may write to, such as postmaster@example.org", a.Email)
	}
	if a.Storage == "" {
		p.add("tls.acme.storage", "missing; give a folder that only imapferry may read")
	}
	a.validateDomains(p)
	a.validateBinding(p)
	a.validatePorts(p)
}

func (a *ACME) validateDomains(p *problems) {
	if len(a.Domains) == 0 {
		p.add("tls.acme.domains", `missing; list the names that clients connect to, such as ["imap.example.org"]`)
	}
	for i, name := range a.Domains {
		switch {
		case strings.Contains(name, "*"):
			p.add("tls.acme.domains", "%q: wildcards need a DNS challenge, which is not offered; list the names one by one", name)
		case !certmagic.SubjectQualifiesForCert(name) || strings.ContainsAny(name, ":/,") && net.ParseIP(name) == nil:
			p.add("tls.acme.domains", "%q is no host name; give the name alone, without port or scheme", name)
		case slices.Contains(lowerCase(a.Domains[:i]), strings.ToLower(name)):
			p.add("tls.acme.domains", "%q is listed twice; remove one", name)
		}
	}
}

func (a *ACME) validateBinding(p *problems) {
	switch {
	case a.EABKID != "" && a.EABKey == "":
		p.add("tls.acme.eab_key", "missing; eab_kid needs the key that the CA gave with it")
	case a.EABKID == "" && a.EABKey != "":
		p.add("tls.acme.eab_kid", "missing; eab_key needs the key id that the CA gave with it")
	}
	if a.EABKey != "" {
		if _, err := a.EABKey.macKey(); err != nil {
			p.add("tls.acme.eab_key", "%w", err)
		}
	}
}

func (a *ACME) validatePorts(p *problems) {
	for key, port := range map[string]int{"tls.acme.http_port": a.HTTPPort, "tls.acme.alpn_port": a.ALPNPort} {
		if port < 0 || port > 65535 {
			p.add(key, "%d is no port; use 1 to 65535, or 0 to do without this challenge", port)
		}
	}
	switch {
	case a.HTTPPort == 0 && a.ALPNPort == 0:
		p.add("tls.acme.http_port", "0, and alpn_port too; the CA needs one of the two to check the names")
	case a.HTTPPort == a.ALPNPort:
		p.add("tls.acme.alpn_port", "%d is http_port as well; give each its own", a.ALPNPort)
	}
}

// macKey returns the key as acmez wants it: base64url without padding. CAs
// hand it out with and without.
func (s Secret) macKey() (string, error) {
	key := strings.TrimRight(strings.TrimSpace(string(s)), "=")
	if _, err := base64.RawURLEncoding.DecodeString(key); err != nil || key == "" {
		return "", errors.New("not base64url; copy the MAC key exactly as the CA shows it")
	}
	return key, nil
}

// problems gathers what is wrong, so that an operator mends it in one go.
type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf(key+": "+format, args...))
}

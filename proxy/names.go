package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ErrName says that a name cannot be that of a user. It is wrapped with what is wrong with it.
var ErrName = errors.New("not a user name")

// maxName bounds a name in bytes.
const maxName = 255

// NamesConfig is the section [users] of the configuration file.
type NamesConfig struct {
	DefaultDomain string `toml:"default_domain"` // added to names without @
	Aliases       string `toml:"aliases"`        // file with lines "alias canonical", or an http(s) URL asked with ?user=
}

// Names turns what clients call themselves into canonical names: lower-cased, with a domain, aliases resolved. It is
// safe for concurrent use.
type Names struct {
	domain  string
	aliases aliases
}

// aliases resolves one normalised name into another, or itself.
type aliases interface {
	resolve(ctx context.Context, name string) (string, error)
	reload() error
}

// NewNames checks cfg and reads the file of aliases.
func NewNames(cfg NamesConfig) (*Names, error) {
	n := &Names{domain: strings.ToLower(strings.TrimPrefix(cfg.DefaultDomain, "@"))}
	if n.domain != "" {
		if err := checkName(n.domain); err != nil || strings.ContainsAny(n.domain, "@ ") {
			return nil, fmt.Errorf("users.default_domain: %q is not a domain", cfg.DefaultDomain)
		}
	}
	switch {
	case cfg.Aliases == "":
		n.aliases = noAliases{}
	case strings.HasPrefix(cfg.Aliases, "http://"), strings.HasPrefix(cfg.Aliases, "https://"):
		look, err := newAliasURL(cfg.Aliases, n.normal)
		if err != nil {
			return nil, fmt.Errorf("users.aliases: %w", err)
		}
		n.aliases = look
	default:
		n.aliases = &aliasFile{path: cfg.Aliases, normal: n.normal}
		if err := n.Reload(); err != nil {
			return nil, fmt.Errorf("users.aliases: %w", err)
		}
	}
	return n, nil
}

// Canonical returns the canonical name. An error that wraps ErrName means that there can be no such user; any other,
// that the aliases cannot be asked.
func (n *Names) Canonical(ctx context.Context, name string) (string, error) {
	name, err := n.normal(name)
	if err != nil {
		return "", err
	}
	canonical, err := n.aliases.resolve(ctx, name)
	if err != nil {
		return "", fmt.Errorf("resolve alias: %w", err)
	}
	return canonical, nil
}

// Reload reads the aliases again. After an error the old ones hold.
func (n *Names) Reload() error { return n.aliases.reload() }

// normal is Canonical without aliases. Unicode is composed (NFC) first, because two spellings of one name must not
// become two users.
func (n *Names) normal(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	name = strings.ToLower(norm.NFC.String(name))
	if n.domain != "" && !strings.Contains(name, "@") {
		name += "@" + n.domain
	}
	if len(name) > maxName {
		return "", fmt.Errorf("%w: over %d bytes", ErrName, maxName)
	}
	return name, nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrName)
	case len(name) > maxName:
		return fmt.Errorf("%w: over %d bytes", ErrName, maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: it is not UTF-8", ErrName)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: it holds control characters", ErrName)
	}
	return nil
}

type noAliases struct{}

func (noAliases) resolve(_ context.Context, name string) (string, error) { return name, nil }
func (noAliases) reload() error                                          { return nil }

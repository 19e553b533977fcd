package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"imapferry/internal/backend"
	"imapferry/migrate"
	"imapferry/proxy"
	"imapferry/tls"
)

// config is the configuration file. Each layer overrides the one before: defaults, file, environment.
type config struct {
	Listen  listenConfig      `toml:"listen"`
	TLS     tls.Config        `toml:"tls"`
	State   stateConfig       `toml:"state"`
	Users   proxy.NamesConfig `toml:"users"`
	Auth    authConfig        `toml:"auth"`
	Source  backend.Config    `toml:"source"`
	Target  targetConfig      `toml:"target"`
	Migrate migrate.Settings  `toml:"migrate"`
}

type listenConfig struct {
	IMAPS             []string `toml:"imaps"`               // implicit TLS
	IMAP              []string `toml:"imap"`                // STARTTLS
	Admin             string   `toml:"admin"`               // host:port or unix:/path; empty: none
	ProxyProtocolFrom []string `toml:"proxy_protocol_from"` // networks
}

type stateConfig struct {
	URL     stateURL      `toml:"url"`
	Node    string        `toml:"node"`     // empty: the host's name
	NodeTTL time.Duration `toml:"node_ttl"` // how long a node may be silent

	Password        backend.Secret `toml:"password"`         // of a Redis, in place of one in its URL
	TLSCA           string         `toml:"tls_ca"`           // PEM file, for a Redis with TLS; empty: system roots
	ConfirmReplicas int            `toml:"confirm_replicas"` // how many replicas of a Redis must have a write before it counts

	Journal string `toml:"journal"` // file; empty: beside the state's, or defaultJournal
}

type authConfig struct {
	Prove proxy.Prove `toml:"prove"`
}

type targetConfig struct {
	backend.Config
	migrate.TargetSettings
}

// stateURL may hold the password of a Redis, so it shows nowhere (I8).
type stateURL string

func (stateURL) String() string       { return "redacted" }
func (stateURL) GoString() string     { return "redacted" }
func (stateURL) LogValue() slog.Value { return slog.StringValue("redacted") }

func defaultConfig() *config {
	return &config{
		Listen:  listenConfig{IMAPS: []string{"0.0.0.0:993"}, IMAP: []string{"0.0.0.0:143"}, Admin: defaultAdmin},
		TLS:     tls.DefaultConfig(),
		State:   stateConfig{URL: "bolt:/var/lib/imapferry/state.db", NodeTTL: proxy.DefaultTTL},
		Auth:    authConfig{Prove: proxy.ProveRoute},
		Source:  backend.Defaults(),
		Target:  targetConfig{backend.Defaults(), migrate.DefaultTargetSettings()},
		Migrate: migrate.DefaultSettings(),
	}
}

// problem is one thing that is wrong with the configuration.
type problem struct {
	place string // file:line, or the environment variable
	key   string
	text  string // what is wrong and what to do
}

func (p problem) Error() string {
	if p.key == "" {
		return p.place + ": " + p.text
	}
	return p.place + ": " + p.key + ": " + p.text
}

// loader reads one configuration and gathers all that is wrong with it, so that an operator mends it in one go.
type loader struct {
	file     string
	cfg      *config
	keys     keyTable
	lines    map[string]int    // of section headers and keys
	places   map[string]string // of keys that were given
	problems []error
}

// loadConfig reads the file at path and the environment, and checks everything that can be told without a server.
// The error joins one problem for each thing that is wrong.
func loadConfig(path string, environ []string) (*config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	cfg := defaultConfig()
	l := &loader{file: path, cfg: cfg, keys: keysOf(cfg), places: map[string]string{}}
	doc, err := parseDocument(path, text)
	if err != nil {
		return nil, err // a file that is no TOML says nothing about its keys
	}
	l.lines = doc.sections
	l.apply(doc.layer(path))
	l.apply(l.environment(environ))
	l.check()
	if len(l.problems) > 0 {
		return nil, errors.Join(l.problems...)
	}
	return cfg, nil
}

func (l *loader) complain(place, key, format string, args ...any) {
	l.problems = append(l.problems, problem{place, key, fmt.Sprintf(format, args...)})
}

// place tells where key was given; for a key that was not, where it belongs.
func (l *loader) place(key string) string {
	if p, ok := l.places[key]; ok {
		return p
	}
	for s := key; s != ""; s = parent(s) {
		if line, ok := l.lines[s]; ok {
			return at(l.file, line)
		}
	}
	return at(l.file, 1)
}

func at(file string, line int) string { return fmt.Sprintf("%s:%d", file, line) }

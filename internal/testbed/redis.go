package testbed

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// RedisOptions says how a Redis is configured. The zero value keeps everything
// in memory and asks for no password.
type RedisOptions struct {
	AppendOnly  bool     // append-only file, synced at every write
	Password    string   // of the default user
	ACL         []string // ACL rules of more users: "ferry on >secret ~ferry:* +@all"
	TLS         bool     // also listens with TLS
	ExtraConfig string   // lines of redis.conf; go last, so they win
}

// Redis is a running redis-server. It keeps its port and its files when it is
// stopped; what it had in memory alone is gone.
type Redis struct {
	*server
	Options  RedisOptions
	CertFile string // PEM of its certificate, which is its own authority; empty without TLS
	keyFile  string
	dir      string
	port     int
	tlsPort  int
}

// Redis configures a redis-server, starts it and returns when it answers.
func (b *Bed) Redis(opt RedisOptions) (*Redis, error) {
	r, err := b.makeRedis("r", opt)
	if err != nil {
		return nil, err
	}
	return r, r.run()
}

// makeRedis makes a server that is yet to be configured and started, by run.
func (b *Bed) makeRedis(kind string, opt RedisOptions, argv ...string) (*Redis, error) {
	bin, err := binary("redis-server")
	if err != nil {
		return nil, err
	}
	name, dir, err := b.folder(kind)
	if err != nil {
		return nil, fmt.Errorf("make redis: %w", err)
	}
	r := &Redis{Options: opt, dir: dir}
	if r.port, err = b.port(); err != nil {
		return nil, fmt.Errorf("make redis: %w", err)
	}
	if opt.TLS {
		if r.tlsPort, err = b.port(); err != nil {
			return nil, fmt.Errorf("make redis: %w", err)
		}
		cert, err := b.tls()
		if err != nil {
			return nil, fmt.Errorf("make redis: %w", err)
		}
		r.CertFile, r.keyFile = cert.certFile, cert.keyFile
	}
	r.server = &server{
		name: "redis " + name, argv: append([]string{bin, r.file("redis.conf")}, argv...), dir: dir, out: r.file("log"),
		ready: func(ctx context.Context) error { return answersPing(ctx, r.Addr()) },
	}
	b.add(r.server)
	return r, nil
}

// run writes the configuration, with lines of its own, and starts the server.
func (r *Redis) run(lines ...string) error {
	if err := os.WriteFile(r.file("redis.conf"), []byte(r.config(lines)), 0o600); err != nil {
		return fmt.Errorf("make redis: %w", err)
	}
	return r.start()
}

func (r *Redis) file(name string) string { return filepath.Join(r.dir, name) }

func (r *Redis) config(more []string) string {
	lines := append([]string{
		"bind 127.0.0.1", fmt.Sprintf("port %d", r.port), "dir " + r.dir,
		"daemonize no", `save ""`, "appendonly no", "maxmemory-policy noeviction",
		"repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
	}, more...)
	if r.Options.AppendOnly {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	if r.Options.Password != "" {
		lines = append(lines, fmt.Sprintf("requirepass %q", r.Options.Password), fmt.Sprintf("masterauth %q", r.Options.Password))
	}
	if r.Options.TLS {
		lines = append(lines, fmt.Sprintf("tls-port %d", r.tlsPort), "tls-auth-clients no",
			"tls-cert-file "+r.CertFile, "tls-key-file "+r.keyFile)
	}
	for _, rule := range r.Options.ACL {
		lines = append(lines, "user "+rule)
	}
	return strings.Join(append(lines, r.Options.ExtraConfig), "\n") + "\n"
}

// Addr returns the address as host:port.
func (r *Redis) Addr() string { return loopback(r.port) }

// URL returns the address as redis://, with the default user's password.
func (r *Redis) URL() string { return r.url("redis", "/0", r.Addr()) }

// TLSURL is URL as rediss://.
func (r *Redis) TLSURL() string { return r.url("rediss", "/0", loopback(r.tlsPort)) }

func (r *Redis) url(scheme, path string, hosts ...string) string {
	u := url.URL{Scheme: scheme, Host: strings.Join(hosts, ","), Path: path}
	if r.Options.Password != "" {
		u.User = url.UserPassword("", r.Options.Password)
	}
	return u.String()
}

// Start starts the server again on the same port, after Stop or Kill.
func (r *Redis) Start() error { return r.start() }

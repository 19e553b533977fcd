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
	ExtraConfig string   // lines of redis.conf; go last, so they win
}

// Redis is a running redis-server. It keeps its port and its files when it is
// stopped; what it had in memory alone is gone.
type Redis struct {
	*server
	Options RedisOptions
	port    int
}

// Redis configures a redis-server, starts it and returns when it answers.
func (b *Bed) Redis(opt RedisOptions) (*Redis, error) {
	bin, err := binary("redis-server")
	if err != nil {
		return nil, err
	}
	name, dir, err := b.folder("r")
	if err != nil {
		return nil, fmt.Errorf("make redis: %w", err)
	}
	port, err := b.port()
	if err != nil {
		return nil, fmt.Errorf("make redis: %w", err)
	}
	r := &Redis{Options: opt, port: port}
	conf := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(conf, []byte(r.config(dir)), 0o600); err != nil {
		return nil, fmt.Errorf("make redis: %w", err)
	}
	r.server = &server{
		name: "redis " + name, argv: []string{bin, conf}, dir: dir, out: filepath.Join(dir, "log"),
		ready: func(ctx context.Context) error { return answersPing(ctx, r.Addr()) },
	}
	b.add(r.server)
	return r, r.start()
}

func (r *Redis) config(dir string) string {
	lines := []string{
		"bind 127.0.0.1", fmt.Sprintf("port %d", r.port), "dir " + dir,
		"daemonize no", `save ""`, "appendonly no", "maxmemory-policy noeviction",
	}
	if r.Options.AppendOnly {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	if r.Options.Password != "" {
		lines = append(lines, fmt.Sprintf("requirepass %q", r.Options.Password))
	}
	for _, rule := range r.Options.ACL {
		lines = append(lines, "user "+rule)
	}
	return strings.Join(append(lines, r.Options.ExtraConfig), "\n") + "\n"
}

// Addr returns the address as host:port.
func (r *Redis) Addr() string { return loopback(r.port) }

// URL returns the address as redis://, with the default user's password.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", Host: r.Addr(), Path: "/0"}
	if r.Options.Password != "" {
		u.User = url.UserPassword("", r.Options.Password)
	}
	return u.String()
}

// Start starts the server again on the same port, after Stop or Kill.
func (r *Redis) Start() error { return r.start() }

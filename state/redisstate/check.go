package redisstate

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// check warns about settings with which Redis can lose or refuse state, for every master. Many hosted servers forbid CONFIG, so what
// cannot be asked is said, not taken for good.
func (s *Store) check(ctx context.Context, log *slog.Logger) {
	err := s.eachMaster(ctx, func(addr string, c *redis.Client) error {
		x := &examiner{client: c, log: log, confirm: s.confirm}
		if s.kind != standalone {
			x.log = log.With("server", addr)
		}
		x.durability(ctx)
		x.replication(ctx)
		return nil
	})
	if err != nil {
		log.Warn("could not ask redis about itself", "err", err)
	}
}

// examiner asks one server about itself.
type examiner struct {
	client  *redis.Client
	log     *slog.Logger
	confirm int // replicas
}

func (x *examiner) durability(ctx context.Context) {
	info := x.info(ctx, "persistence")
	if info["aof_enabled"] == "0" {
		x.log.Warn("redis keeps no append-only file: a crash loses what was done since the last snapshot, switches too; set appendonly yes")
	} else if v := x.config(ctx, "appendfsync"); v != "" && v != "always" {
		x.log.Warn("redis does not sync its append-only file at every write: a crash of the machine loses the last writes; set appendfsync always", "appendfsync", v)
	}
	if info["aof_last_write_status"] == "err" {
		x.log.Warn("redis could not write its append-only file the last time it tried")
	}
	if v := x.config(ctx, "maxmemory-policy"); v != "" && v != "noeviction" {
		x.log.Warn("redis may evict keys when memory is short, users and leases too; set maxmemory-policy noeviction", "maxmemory-policy", v)
	}
}

func (x *examiner) replication(ctx context.Context) {
	info := x.info(ctx, "replication")
	if info["role"] == "slave" {
		x.log.Warn("this redis is a replica and takes no writes; give the address of its master")
		return
	}
	connected := 0
	for name, v := range info {
		if strings.HasPrefix(name, "slave") && strings.Contains(v, "state=online") {
			connected++
		}
	}
	counts := []any{"connected", connected, "confirm_replicas", x.confirm}
	switch {
	case connected < x.confirm:
		x.log.Warn("redis has fewer replicas connected than must confirm, so everything fails until they are: start replicas, or lower state.confirm_replicas", counts...)
	case connected > x.confirm:
		x.log.Warn("redis has more replicas than must confirm: if one that has not is promoted, writes that counted are lost; raise state.confirm_replicas", counts...)
	}
	if x.confirm > 0 && x.config(ctx, "min-replicas-to-write") == "0" {
		x.log.Warn("redis takes writes without any replica, so a master that was deposed goes on until it is told; set min-replicas-to-write", "want", strconv.Itoa(x.confirm))
	}
}

// config returns a setting, or "" if it cannot be asked.
func (x *examiner) config(ctx context.Context, key string) string {
	v, err := x.client.ConfigGet(ctx, key).Result()
	if err != nil {
		x.log.Warn("could not ask redis for a setting that state depends on", "setting", key, "err", err)
	}
	return v[key]
}

// info returns the fields of a section of INFO, none if it cannot be asked.
func (x *examiner) info(ctx context.Context, section string) map[string]string {
	text, err := x.client.Info(ctx, section).Result()
	if err != nil {
		x.log.Warn("could not ask redis about itself", "section", section, "err", err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = v
		}
	}
	return fields
}

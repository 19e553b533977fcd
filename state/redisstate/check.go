package redisstate

import (
	"context"
	"log/slog"
	"strings"
)

// check warns about settings with which Redis can lose or refuse state. Many hosted servers forbid CONFIG, so what cannot be asked is said, not
// taken for good.
func (s *Store) check(ctx context.Context, log *slog.Logger) {
	if s.info(ctx, log, "persistence", "aof_enabled") == "0" {
		log.Warn("redis keeps no append-only file: a crash loses what was done since the last snapshot, switches too; set appendonly yes")
	} else if v := s.config(ctx, log, "appendfsync"); v != "" && v != "always" {
		log.Warn("redis does not sync its append-only file at every write: a crash of the machine loses the last writes; set appendfsync always", "appendfsync", v)
	}
	if s.info(ctx, log, "persistence", "aof_last_write_status") == "err" {
		log.Warn("redis could not write its append-only file the last time it tried")
	}
	if v := s.config(ctx, log, "maxmemory-policy"); v != "" && v != "noeviction" {
		log.Warn("redis may evict keys when memory is short, users and leases too; set maxmemory-policy noeviction", "maxmemory-policy", v)
	}
	if s.info(ctx, log, "replication", "role") == "slave" {
		log.Warn("this redis is a replica and takes no writes; give the address of its master")
	}
}

// config returns a setting, or "" if it cannot be asked.
func (s *Store) config(ctx context.Context, log *slog.Logger, key string) string {
	v, err := s.client.ConfigGet(ctx, key).Result()
	if err != nil {
		log.Warn("could not ask redis for a setting that state depends on", "setting", key, "err", err)
	}
	return v[key]
}

// info returns a field of a section of INFO, or "".
func (s *Store) info(ctx context.Context, log *slog.Logger, section, field string) string {
	text, err := s.client.Info(ctx, section).Result()
	if err != nil {
		log.Warn("could not ask redis about itself", "section", section, "err", err)
	}
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return v
		}
	}
	return ""
}

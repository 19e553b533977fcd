package redisstate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// sentinels are the Sentinels that watch a master.
type sentinels struct {
	addrs   []string
	master  string
	servers *servers
}

// ask returns the master that they name. Of different answers the one with the highest configuration epoch is right, because each
// failover gets a new one from a majority; a Sentinel that is cut off from the rest goes on naming the old master.
func (s *sentinels) ask(ctx context.Context) (*table, error) {
	t, err := newest(ctx, s.addrs, s.askOne)
	if err != nil {
		return nil, fmt.Errorf("no Sentinel names the master: %w", err)
	}
	return t, nil
}

func (s *sentinels) askOne(ctx context.Context, addr string) (*table, error) {
	client, err := s.servers.at(addr)
	if err != nil {
		return nil, err
	}
	v, err := client.Do(ctx, "sentinel", "master", s.master).Result()
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "No such master"):
		return nil, fmt.Errorf("it watches no master named %q; the name stands in its sentinel monitor", s.master)
	case redis.HasErrorPrefix(err, "unknown command"):
		return nil, errors.New("it is no Sentinel, for which its port is usually 26379")
	case redis.IsAuthError(err):
		return nil, fmt.Errorf("%w (the Sentinels' user and password are parameters of their own: ?sentinel_user=…&sentinel_password=…)", err)
	default:
		return nil, err
	}
	flat, err := texts(v)
	if err != nil {
		return nil, err
	}
	f := map[string]string{}
	for i := 0; i+1 < len(flat); i += 2 {
		f[flat[i]] = flat[i+1]
	}
	epoch, err := strconv.ParseInt(f["config-epoch"], 10, 64)
	if err != nil || f["ip"] == "" || f["port"] == "" {
		return nil, fmt.Errorf("a Sentinel answered %v", v)
	}
	return whole(net.JoinHostPort(f["ip"], f["port"]), epoch), nil
}

package testbed

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// ClusterOptions says what RedisCluster starts.
type ClusterOptions struct {
	Redis RedisOptions  // of each server
	Down  time.Duration // how long a server must be silent to be down; default 2 s
}

// RedisCluster is a Redis Cluster of three masters with a replica each.
type RedisCluster struct {
	Servers []*Redis // the first three are the masters at the start; i+3 is the replica of i
	bus     []int
}

const (
	clusterMasters = 3
	clusterSlots   = 16384
)

// RedisCluster starts the servers and returns when all slots are served and all
// replicas are in step. The servers are told of each other by their file: to
// meet takes them longer.
func (b *Bed) RedisCluster(opt ClusterOptions) (*RedisCluster, error) {
	if opt.Down == 0 {
		opt.Down = 2 * time.Second
	}
	c := &RedisCluster{}
	for range 2 * clusterMasters {
		r, err := b.makeRedis("c", opt.Redis)
		if err != nil {
			return nil, err
		}
		bus, err := b.port()
		if err != nil {
			return nil, fmt.Errorf("make redis cluster: %w", err)
		}
		c.Servers, c.bus = append(c.Servers, r), append(c.bus, bus)
	}
	for i, r := range c.Servers {
		if err := os.WriteFile(r.file("nodes.conf"), []byte(c.nodes(i)), 0o600); err != nil {
			return nil, fmt.Errorf("make redis cluster: %w", err)
		}
		if err := r.run("cluster-enabled yes", "cluster-config-file nodes.conf", fmt.Sprintf("cluster-port %d", c.bus[i]),
			fmt.Sprintf("cluster-node-timeout %d", opt.Down.Milliseconds())); err != nil {
			return nil, err
		}
	}
	return c, c.Settled()
}

// nodes returns the file by which a server knows the cluster.
func (c *RedisCluster) nodes(self int) string {
	var text strings.Builder
	for i, r := range c.Servers {
		flags, of, slots := "master", "-", fmt.Sprintf(" %d-%d", clusterSlots*i/clusterMasters, clusterSlots*(i+1)/clusterMasters-1)
		if i >= clusterMasters {
			flags, of, slots = "slave", clusterID(i-clusterMasters), ""
		}
		if i == self {
			flags = "myself," + flags
		}
		fmt.Fprintf(&text, "%s 127.0.0.1:%d@%d %s %s 0 0 %d connected%s\n", clusterID(i), r.port, c.bus[i], flags, of, i%clusterMasters+1, slots)
	}
	fmt.Fprintf(&text, "vars currentEpoch %d lastVoteEpoch 0\n", clusterMasters)
	return text.String()
}

func clusterID(i int) string { return fmt.Sprintf("%040x", i+1) }

// Settled returns when all servers agree that all slots are served, and each
// master has its replica, which would still have its keys if it was killed.
func (c *RedisCluster) Settled() error {
	return until("the cluster has settled", func() (bool, error) {
		masters := 0
		for _, r := range c.Servers {
			f, err := r.info("CLUSTER", "INFO")
			if err != nil || f["cluster_state"] != "ok" {
				return false, err
			}
			f, err = r.info("INFO", "replication")
			if err != nil || f["role"] == "slave" && f["master_link_status"] != "up" {
				return false, err
			}
			if ok, err := r.written(); !ok {
				return false, err
			}
			if f["role"] == "master" {
				masters++
				if in, err := r.inStep(); in < 1 {
					return false, err
				}
			}
		}
		return masters == clusterMasters, nil
	})
}

// Promote has server i take its master's place, although that runs, and returns
// as Promoted does. A server that is asked gives up after five seconds; asked
// again before, it begins anew.
func (c *RedisCluster) Promote(i int) error {
	var asked time.Time
	err := until(c.Servers[i].name+" takes its master's place", func() (bool, error) {
		f, err := c.Servers[i].info("INFO", "replication")
		if err != nil || f["role"] == "master" || time.Since(asked) < 6*time.Second {
			return f["role"] == "master", err
		}
		if _, err := c.Servers[i].Do("CLUSTER", "FAILOVER"); err != nil {
			return false, err
		}
		asked = time.Now()
		return false, nil
	})
	if err != nil {
		return err
	}
	return c.Promoted(i)
}

// Promoted returns when server i is a master and all servers that run know.
func (c *RedisCluster) Promoted(i int) error {
	return until(c.Servers[i].name+" is a master", func() (bool, error) {
		for _, r := range c.Servers {
			if r.PID() == 0 {
				continue
			}
			f, err := r.info("CLUSTER", "INFO")
			if err != nil || f["cluster_state"] != "ok" {
				return false, err
			}
			v, err := r.Do("CLUSTER", "NODES")
			if err != nil {
				return false, err
			}
			if !strings.Contains(lineWith(fmt.Sprint(v), clusterID(i)), "master ") {
				return false, nil
			}
		}
		return true, nil
	})
}

// lineWith returns the line that begins with prefix.
func lineWith(text, prefix string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}

// URL returns the address as redis+cluster://, with the default user's
// password.
func (c *RedisCluster) URL() string {
	var hosts []string
	for _, r := range c.Servers {
		hosts = append(hosts, r.Addr())
	}
	return c.Servers[0].url("redis+cluster", "", hosts...)
}

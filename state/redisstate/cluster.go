package redisstate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// mostAsked is how many servers of a Cluster are asked for its table.
const mostAsked = 9

// members are the servers of a Cluster.
type members struct {
	seeds   []string // those of the URL
	servers *servers
	known   []string // those that the last table named
}

// ask returns the Cluster's table. Only one call of it runs at a time.
func (m *members) ask(ctx context.Context) (*table, error) {
	var addrs []string
	for _, a := range slices.Concat(m.known, m.seeds) {
		if len(addrs) < mostAsked && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	t, err := newest(ctx, addrs, m.askOne)
	if err != nil {
		return nil, fmt.Errorf("no server tells who is in the Cluster: %w", err)
	}
	m.known = slices.Concat(t.masters(), t.others)
	return t, nil
}

func (m *members) askOne(ctx context.Context, addr string) (*table, error) {
	client, err := m.servers.at(addr)
	if err != nil {
		return nil, err
	}
	pipe := client.Pipeline()
	info, ranges := pipe.ClusterInfo(ctx), pipe.ClusterSlots(ctx)
	if _, err := pipe.Exec(ctx); err != nil {
		if strings.Contains(err.Error(), "cluster support disabled") {
			return nil, errors.New("it is not in a Cluster; for a Redis of its own write redis:// or rediss://")
		}
		return nil, err
	}
	t := &table{epoch: clusterEpoch(info.Val())}
	for _, r := range ranges.Val() {
		for i, n := range r.Nodes {
			at := reach(n.Addr, addr)
			if i == 0 {
				t.parts = append(t.parts, part{r.Start, r.End, at})
			} else {
				t.others = append(t.others, at)
			}
		}
	}
	if len(t.parts) == 0 {
		return nil, errors.New("its Cluster has no slots; cluster create gives them to masters")
	}
	return t, nil
}

// clusterEpoch reads the newest epoch that a server has heard of. Each failover has a new one.
func clusterEpoch(info string) int64 {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "cluster_current_epoch:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64) // 0 is the oldest
			return n
		}
	}
	return 0
}

// reach returns an address that a server told as it is dialed. Without a host it is the teller's own, and IPv6 may lack its brackets.
func reach(addr, teller string) string {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return addr
	}
	host := strings.Trim(addr[:i], "[]")
	if host == "" {
		host, _, _ = net.SplitHostPort(teller)
	}
	return net.JoinHostPort(host, addr[i+1:])
}

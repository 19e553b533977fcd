package testbed

import "testing"

// A master that dies is replaced by its replica, and comes back as a replica.
func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	s, err := ForTest(t).RedisSentinel(SentinelOptions{Redis: RedisOptions{AppendOnly: true, Password: "s:e/cret"}, Password: "watch"})
	if err != nil {
		t.Fatal(err)
	}
	old := s.Servers[0]
	if m := s.Master(); m != old {
		t.Fatalf("the master is %v", m)
	}
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	m, err := s.NewMaster(old)
	if err == nil {
		err = old.Start()
	}
	if err == nil {
		err = s.Follow(old, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	if m != s.Servers[1] {
		t.Errorf("the master is %v", m)
	}
}

// A master of a Cluster that dies is replaced by its replica.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	c, err := ForTest(t).RedisCluster(ClusterOptions{Redis: RedisOptions{AppendOnly: true, Password: "s:e/cret"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Promoted(1 + clusterMasters); err != nil {
		t.Fatal(err)
	}
	if err := c.Servers[1].Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Settled(); err != nil {
		t.Fatal(err)
	}
}

func TestRedisTLS(t *testing.T) {
	t.Parallel()
	r, err := ForTest(t).Redis(RedisOptions{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := takes(t.Context(), loopback(r.tlsPort)); err != nil || r.CertFile == "" {
		t.Errorf("%v, certificate in %q", err, r.CertFile)
	}
}

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

// Files that were copied bring back what was there then, at another server as well.
func TestRedisFiles(t *testing.T) {
	t.Parallel()
	bed := ForTest(t)
	var servers []*Redis
	for range 2 {
		r, err := bed.Redis(RedisOptions{AppendOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, r)
	}
	do := func(r *Redis, args ...string) any {
		t.Helper()
		v, err := r.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	do(servers[0], "SET", "key", "old")
	files, err := servers[0].Files()
	if err != nil {
		t.Fatal(err)
	}
	do(servers[0], "SET", "key", "new")
	for _, r := range servers {
		if err := r.SetFiles(files); err == nil {
			t.Error("set while it runs")
		}
		if err := r.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := r.SetFiles(files); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		if v := do(r, "GET", "key"); v != "old" {
			t.Errorf("the key is %v", v)
		}
	}
}

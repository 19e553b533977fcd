package testbed

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SentinelOptions says what RedisSentinel starts.
type SentinelOptions struct {
	Redis    RedisOptions  // of the master and of each replica
	Replicas int           // default 1
	Password string        // that the Sentinels ask for
	Down     time.Duration // how long a master must be silent to be down; default 2 s
}

// RedisSentinel is a Redis with replicas, watched by three Sentinels.
type RedisSentinel struct {
	Servers   []*Redis // the first is the master at the start
	Sentinels []*Redis
}

// MasterName is what the Sentinels call the master.
const MasterName = "ferry"

const (
	sentinels = 3
	quorum    = 2
)

// RedisSentinel starts the servers and returns when all replicas are in step
// and all Sentinels know all of them.
func (b *Bed) RedisSentinel(opt SentinelOptions) (*RedisSentinel, error) {
	if opt.Replicas == 0 {
		opt.Replicas = 1
	}
	if opt.Down == 0 {
		opt.Down = 2 * time.Second
	}
	s := &RedisSentinel{}
	for i := range 1 + opt.Replicas {
		r, err := b.makeRedis("r", opt.Redis)
		if err == nil && i == 0 {
			err = r.run()
		} else if err == nil {
			err = r.run(fmt.Sprintf("replicaof 127.0.0.1 %d", s.Servers[0].port))
		}
		if err != nil {
			return nil, err
		}
		s.Servers = append(s.Servers, r)
	}
	if err := s.Servers[0].hasReplicas(opt.Replicas); err != nil {
		return nil, err
	}
	for range sentinels {
		r, err := b.makeRedis("s", RedisOptions{Password: opt.Password}, "--sentinel")
		if err != nil {
			return nil, err
		}
		s.Sentinels = append(s.Sentinels, r)
	}
	for i, r := range s.Sentinels {
		if err := r.run(s.watch(i, opt)...); err != nil {
			return nil, err
		}
		if err := r.hurry(); err != nil {
			return nil, err
		}
	}
	return s, s.settled(opt.Replicas)
}

// watch returns the configuration of a Sentinel. What it would find out within
// some seconds, of the others and of the replicas, it is told.
func (s *RedisSentinel) watch(self int, opt SentinelOptions) []string {
	lines := []string{
		fmt.Sprintf("sentinel myid %040x", self+1),
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", MasterName, s.Servers[0].port, quorum),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", MasterName, opt.Down.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", MasterName, opt.Down.Milliseconds()),
	}
	if p := opt.Redis.Password; p != "" {
		lines = append(lines, fmt.Sprintf("sentinel auth-pass %s %q", MasterName, p))
	}
	if p := opt.Password; p != "" {
		lines = append(lines, fmt.Sprintf("sentinel sentinel-pass %q", p))
	}
	for _, r := range s.Servers[1:] {
		lines = append(lines, fmt.Sprintf("sentinel known-replica %s 127.0.0.1 %d", MasterName, r.port))
	}
	for i, r := range s.Sentinels {
		if i != self {
			lines = append(lines, fmt.Sprintf("sentinel known-sentinel %s 127.0.0.1 %d %040x", MasterName, r.port, i+1))
		}
	}
	return lines
}

// hurry makes a Sentinel look more often than the usual seconds, and keeps a
// loaded machine, on which it is late, from making it idle for half a minute.
func (r *Redis) hurry() error {
	_, err := r.Do("SENTINEL", "DEBUG", "info-period", "200", "publish-period", "200", "ask-period", "200",
		"tilt-trigger", "20000", "tilt-period", "1000")
	return err
}

// Master returns the server that most Sentinels call the master, or nil.
func (s *RedisSentinel) Master() *Redis {
	votes := map[string]int{}
	for _, r := range s.Sentinels {
		votes[r.names()]++
	}
	for _, r := range s.Servers {
		if votes[strconv.Itoa(r.port)] >= quorum {
			return r
		}
	}
	return nil
}

// names returns the port of the server that a Sentinel calls the master, or
// nothing.
func (r *Redis) names() string {
	v, err := r.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
	list, ok := v.([]any)
	if err != nil || !ok || len(list) != 2 {
		return ""
	}
	return fmt.Sprint(list[1])
}

// Replace has a Sentinel make another server the master, although old runs, and
// returns when it is. A Sentinel that has not heard of the replicas for some
// hundred milliseconds finds none, or gives up, and does not try again; one that
// hears late of the new master makes it a replica of the old one, until they all
// agree on that.
func (s *RedisSentinel) Replace(old *Redis) (*Redis, error) {
	first, port := s.Sentinels[0], strconv.Itoa(old.port)
	return s.newMaster(old, func() error {
		if first.names() != port {
			return nil
		}
		_, err := first.Do("SENTINEL", "FAILOVER", MasterName) // refused if it is at it
		return err
	})
}

// NewMaster returns when the Sentinels have made another server than old the
// master, and it knows.
func (s *RedisSentinel) NewMaster(old *Redis) (*Redis, error) {
	return s.newMaster(old, func() error { return nil })
}

// newMaster is NewMaster, and asks for it all the time.
func (s *RedisSentinel) newMaster(old *Redis, ask func() error) (*Redis, error) {
	var now *Redis
	err := until("there is another master", func() (bool, error) {
		if err := ask(); err != nil {
			return false, err
		}
		if now = s.Master(); now == nil || now == old {
			return false, nil
		}
		f, err := now.info("INFO", "replication")
		return f["role"] == "master", err
	})
	return now, err
}

// Follow makes old, which was the master and is started again, a replica of
// the present one at once: the Sentinels would do so after a while. It returns
// when it is in step.
func (s *RedisSentinel) Follow(old, master *Redis) error {
	if _, err := old.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(master.port)); err != nil {
		return err
	}
	return s.Settled()
}

// Settled returns when all servers but the master follow it, and all Sentinels
// see them and each other.
func (s *RedisSentinel) Settled() error { return s.settled(len(s.Servers) - 1) }

// settled returns when all replicas follow the master and would still have its
// keys if they were killed, and all Sentinels see them and each other.
func (s *RedisSentinel) settled(replicas int) error {
	return until("all Sentinels agree", func() (bool, error) {
		m := s.Master()
		if m == nil {
			return false, nil
		}
		if in, err := m.inStep(); in < replicas {
			return false, err
		}
		for _, r := range s.Servers {
			if ok, err := r.written(); !ok {
				return false, err
			}
		}
		for _, r := range s.Sentinels {
			if ok, err := r.sees(replicas); !ok {
				return false, err
			}
		}
		return true, nil
	})
}

// written reports whether the server's file begins with all that it got by its
// last full synchronization: until a replica has rewritten its append-only
// file, a kill brings it back as it was before.
func (r *Redis) written() (bool, error) {
	f, err := r.info("INFO", "persistence")
	return f["aof_rewrite_in_progress"] == "0" && f["aof_rewrite_scheduled"] == "0", err
}

// Reached returns when replica has all that the master has at the call.
func (s *RedisSentinel) Reached(replica *Redis) error {
	f, err := s.Master().info("INFO", "replication")
	if err != nil {
		return err
	}
	want, err := strconv.ParseInt(f["master_repl_offset"], 10, 64)
	if err != nil {
		return err
	}
	return until(replica.name+" has what the master has", func() (bool, error) {
		f, err := replica.info("INFO", "replication")
		if err != nil {
			return false, err
		}
		got, err := strconv.ParseInt(f["slave_repl_offset"], 10, 64)
		return got >= want, err
	})
}

// sees reports whether a Sentinel can vote and would find a replica to promote.
func (r *Redis) sees(replicas int) (bool, error) {
	v, err := r.Do("SENTINEL", "CKQUORUM", MasterName)
	if err != nil || !strings.HasPrefix(fmt.Sprint(v), fmt.Sprintf("OK %d usable", sentinels)) {
		return false, err
	}
	v, err = r.Do("SENTINEL", "REPLICAS", MasterName)
	if err != nil {
		return false, err
	}
	good := 0
	list, _ := v.([]any)
	for _, one := range list {
		if f := pairs(one); f["flags"] == "slave" && f["master-link-status"] == "ok" {
			good++
		}
	}
	return good >= replicas, nil
}

// pairs reads an answer that is name, value, name, value …
func pairs(v any) map[string]string {
	list, _ := v.([]any)
	f := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		f[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
	}
	return f
}

// hasReplicas returns when as many replicas are in step.
func (r *Redis) hasReplicas(n int) error {
	return until(fmt.Sprintf("%s has %d replicas", r.name, n), func() (bool, error) {
		in, err := r.inStep()
		return in >= n, err
	})
}

// inStep returns how many replicas a master has that follow it.
func (r *Redis) inStep() (n int, err error) {
	f, err := r.info("INFO", "replication")
	for name, value := range f {
		if strings.HasPrefix(name, "slave") && strings.Contains(value, "state=online") {
			n++
		}
	}
	return n, err
}

// URL returns the address as redis+sentinel://, with the password of the
// servers' default user.
func (s *RedisSentinel) URL() string {
	hosts := make([]string, len(s.Sentinels))
	for i, r := range s.Sentinels {
		hosts[i] = r.Addr()
	}
	return s.Servers[0].url("redis+sentinel", "/"+MasterName+"/0", hosts...)
}

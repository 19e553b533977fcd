package proxybench

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// BenchmarkProxy prints one table with all figures that were asked for; see the package comment.
//
// The pause of a live move is no matter of proxies: `make bench-move` measures it between two real servers.
func BenchmarkProxy(b *testing.B) {
	tab := new(table)
	b.Run("noop", func(b *testing.B) { benchNoop(b, tab) })
	b.Run("fetch", func(b *testing.B) { benchFetch(b, tab) })
	b.Run("login", func(b *testing.B) { benchLogin(b, tab) })
	b.Run("memory", func(b *testing.B) { benchMemory(b, tab) })
	if tab.rows != nil {
		tab.print(os.Stdout)
	}
}

// rounds measures the peers in turn, several times.
func (t *table) rounds(b *testing.B, of []string, measure func(p *peer)) {
	b.ReportMetric(0, "ns/op")
	s := newStage(b)
	var all []*peer
	for _, name := range peers(of...) {
		all = append(all, s.start(name))
		t.present(all[len(all)-1].name)
	}
	for range setting("ROUNDS", 9) {
		for _, p := range all {
			measure(p)
		}
	}
}

func (t *table) present(name string) {
	if !slices.Contains(t.names, name) {
		t.names = append(t.names, name)
	}
}

// span is how long a proxy is measured in one round. Many short rounds in turn are fairer than few long ones: what else
// runs on the machine comes and goes by the second.
const span = 500 * time.Millisecond

// benchNoop measures what a session that works pays for each round trip.
func benchNoop(b *testing.B, t *table) {
	one50, one99 := t.row("NOOP, 1 session: p50 µs", "nginx", 1.2, false), t.row("p99 µs", "nginx", 1.2, false)
	all50, all99 := t.row("NOOP, 32 sessions: p50 µs", "nginx", 1.2, false), t.row("p99 µs", "nginx", 1.2, false)
	t.rounds(b, allPeers, func(p *peer) {
		d := noops(b, p, 1)
		one50.add(p.name, micros(d[len(d)/2]))
		one99.add(p.name, micros(d[len(d)*99/100]))
		d = noops(b, p, 32)
		all50.add(p.name, micros(d[len(d)/2]))
		all99.add(p.name, micros(d[len(d)*99/100]))
	})
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// noops returns the round trips of some sessions at once, in order of length.
func noops(b *testing.B, p *peer, sessions int) (all []time.Duration) {
	var mu sync.Mutex
	each(b, p, sessions, func(c *client, until time.Time) error {
		took := make([]time.Duration, 0, 1<<14)
		for last := time.Now(); last.Before(until); {
			if err := c.do("NOOP"); err != nil {
				return err
			}
			now := time.Now()
			took = append(took, now.Sub(last))
			last = now
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, took...)
		return nil
	})
	slices.Sort(all)
	return all
}

// each has some sessions work at once for the time of span. It returns how long that took, and the proxy's CPU time.
func each(b *testing.B, p *peer, sessions int, work func(c *client, until time.Time) error) (took, cpu time.Duration) {
	b.Helper()
	clients := make([]*client, sessions)
	together(b, p, clients, func(i int, _ *client) (err error) {
		if clients[i], err = login(p.Addr(), i, 64<<10); err != nil {
			return err
		}
		return clients[i].do("SELECT INBOX")
	})
	began, before := time.Now(), p.cpu(b)
	var g errgroup.Group
	for _, c := range clients {
		g.Go(func() error { return work(c, began.Add(span)) })
	}
	if err := g.Wait(); err != nil {
		b.Fatalf("%s: %v", p.name, err)
	}
	took, cpu = time.Since(began), p.cpu(b)-before
	for _, c := range clients {
		c.close()
	}
	return took, cpu
}

// benchFetch reads large messages.
func benchFetch(b *testing.B, t *table) {
	rates := []*row{t.row("FETCH, 1 session: MB/s", "iocopy", 0.9, true), t.row("FETCH, 8 sessions: MB/s", "iocopy", 0.9, true)}
	costs := []*row{t.row("1 session: CPU s/GB", "haproxy", 1.1, false), t.row("8 sessions: CPU s/GB", "haproxy", 1.1, false)}
	const kib = 4096
	t.rounds(b, allPeers, func(p *peer) {
		for i, sessions := range []int{1, 8} {
			var mu sync.Mutex
			var bytes float64
			took, cpu := each(b, p, sessions, func(c *client, until time.Time) error {
				n := 0
				for ; time.Now().Before(until); n++ {
					if err := c.fetch(kib); err != nil {
						return err
					}
				}
				mu.Lock()
				defer mu.Unlock()
				bytes += float64(n) * kib * 1024
				return nil
			})
			rates[i].add(p.name, bytes/1e6/took.Seconds())
			costs[i].add(p.name, cpu.Seconds()/(bytes/1e9))
		}
	})
}

// benchLogin makes a full handshake, LOGIN and LOGOUT, again and again.
func benchLogin(b *testing.B, t *table) {
	rate := t.row("handshake, LOGIN, LOGOUT, 32 at once: /s", "nginx", 1.3, true)
	cost := t.row("CPU µs each", "", 0, false)
	t.rounds(b, allPeers, func(p *peer) {
		var mu sync.Mutex
		logins := 0
		cpu, began := p.cpu(b), time.Now()
		var g errgroup.Group
		for i := range 32 {
			g.Go(func() error {
				n := 0
				for ; time.Since(began) < 2*span; n++ {
					if err := inAndOut(p, i); err != nil {
						return err
					}
				}
				mu.Lock()
				defer mu.Unlock()
				logins += n
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatalf("%s: %v", p.name, err)
		}
		rate.add(p.name, float64(logins)/time.Since(began).Seconds())
		cost.add(p.name, micros(p.cpu(b)-cpu)/float64(logins))
	})
}

func inAndOut(p *peer, n int) error {
	c, err := login(p.Addr(), n, 4096)
	if err != nil {
		return err
	}
	defer c.close()
	return c.do("LOGOUT")
}

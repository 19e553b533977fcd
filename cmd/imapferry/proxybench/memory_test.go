package proxybench

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
)

// benchMemory holds many idle sessions on each proxy in turn: logged in, a folder selected, in IDLE. Then each session
// moves data and is idle again, but on proxies for which that would take minutes. The value is what a session
// adds to the proxy's processes after one has come and gone.
func benchMemory(b *testing.B, t *table) {
	b.ReportMetric(0, "ns/op")
	n := sessions()
	fresh := t.row(fmt.Sprintf("memory, %d idle sessions: KiB each", n), "haproxy", 0.75, false)
	used := t.row("after 1 MB down and 200 KB up: KiB each", "haproxy", 1.5, false)
	s := newStage(b)
	moves := peers("imapferry", "haproxy")
	for _, name := range peers(allPeers...) {
		p := s.start(name)
		t.present(p.name)
		if err := inAndOut(p, 0); err != nil {
			b.Fatalf("%s: %v", p.name, err)
		}
		before := p.memory(b)
		clients := crowd(b, p, n)
		fresh.add(p.name, (p.settled(b)-before)/float64(n))
		if slices.Contains(moves, name) {
			together(b, p, clients, func(_ int, c *client) error { return c.move() })
			used.add(p.name, (p.settled(b)-before)/float64(n))
		}
		for _, c := range clients {
			c.close()
		}
		if err := p.Kill(); err != nil {
			b.Fatal(err)
		}
	}
}

// sessions is how many the limits of this process and of the proxies allow; a session takes two files of a proxy.
func sessions() int {
	n := setting("SESSIONS", 5000)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		n = min(n, (int(files.Max)-500)/2)
	}
	return n
}

// crowd opens n idle sessions.
func crowd(b *testing.B, p *peer, n int) []*client {
	clients := make([]*client, n)
	together(b, p, clients, func(i int, _ *client) error {
		c, err := login(p.Addr(), i, 4096)
		if err != nil {
			return err
		}
		clients[i] = c
		if err := c.do("SELECT INBOX"); err != nil {
			return err
		}
		return c.idle()
	})
	return clients
}

// together does something with all sessions, some at once.
func together(b *testing.B, p *peer, clients []*client, do func(i int, c *client) error) {
	b.Helper()
	var g errgroup.Group
	g.SetLimit(16)
	for i, c := range clients {
		g.Go(func() error { return do(i, c) })
	}
	if err := g.Wait(); err != nil {
		b.Fatalf("%s: %v", p.name, err)
	}
}

// move leaves IDLE, moves data in both directions and is idle again.
func (c *client) move() error {
	if err := c.done(); err != nil {
		return err
	}
	if err := c.fetch(1024); err != nil {
		return err
	}
	if err := c.append(); err != nil {
		return err
	}
	return c.idle()
}

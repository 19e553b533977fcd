package proxybench

import "testing"

// What the benchmark says to a proxy goes through one, so that it is not found broken only when somebody measures.
func TestDialogue(t *testing.T) {
	s := newStage(t)
	p := s.start("iocopy")
	before := p.cpu(t)
	for range 3 {
		c, err := login(p.Addr(), 1, 4096)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		for _, step := range []func() error{
			func() error { return c.do("SELECT INBOX") }, c.idle, c.move, c.done,
			func() error { return c.do("NOOP") }, func() error { return c.do("LOGOUT") },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if p.memory(t) < 1000 || p.cpu(t) < before {
		t.Errorf("memory of a running process is %.0f KiB, its CPU time %s, %s before", p.memory(t), p.cpu(t), before)
	}
}

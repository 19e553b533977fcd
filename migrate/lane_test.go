package migrate

import (
	"errors"
	"log/slog"
	"sync"
	"testing"

	"imapferry/internal/backend"
)

// TestReopenAfterCut lets the hold budget run out while a lane takes new connections: a lane that came back with fresh ones
// afterwards would wait for a server that says nothing for as long as a transfer may stall, while the user's sessions are held (I5).
func TestReopenAfterCut(t *testing.T) {
	src, dst := newFake(t, "source", ""), newFake(t, "target", batchCaps)
	w := &worker{
		e:    &Engine{cfg: Config{Lanes: 1, Source: src.backend(t), Target: dst.backend(t)}},
		user: "alice", targetUser: "alice", secrets: []backend.Secret{"pass"}, log: slog.New(slog.DiscardHandler),
	}
	if err := w.needLanes(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	l := w.lanes[0]
	var cut sync.WaitGroup
	for i := 0; ; i++ {
		switch i {
		case 3:
			cut.Go(w.cutLanes)
		case 50:
			t.Fatal("the lane goes on opening connections after the cut")
		}
		err := l.reopen()
		if errors.Is(err, errCut) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cut.Wait()
	for _, c := range []*client{l.src, l.dst} {
		if _, err := c.do(nil, "NOOP"); err == nil {
			t.Errorf("the connection to the %s is open after the cut", c.side)
		}
	}
	if err := l.reopen(); !errors.Is(err, errCut) {
		t.Errorf("opened connections after the cut: %v", err)
	}
}

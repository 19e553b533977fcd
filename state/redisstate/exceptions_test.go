package redisstate_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/state"
)

// To forget a hundred thousand exceptions in one script kept everybody else's logins waiting for more than a second, and on a busy machine
// past the five seconds after which Redis refuses them.
func TestExceptionsInParts(t *testing.T) {
	t.Parallel()
	p := &lossy{}
	s := startStandalone(t).openThrough(t, p)
	ctx := t.Context()
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
	must(t, err)
	list := make([]state.Exception, 2000)
	for i := range list {
		list[i] = state.Exception{Folder: "INBOX", UID: uint32(i + 1), Class: "flags"}
	}
	var scripts atomic.Int32
	p.tell(func(request string) {
		if strings.Contains(strings.ToLower(request), "eval") {
			scripts.Add(1)
		}
	})
	must(t, s.PutExceptions(ctx, l, list...))
	if n := scripts.Swap(0); n < 4 {
		t.Errorf("%d scripts added all", n)
	}
	must(t, s.DeleteExceptions(ctx, l, "INBOX"))
	if n := scripts.Load(); n < 5 { // the last finds none, and one may bring the script along
		t.Errorf("%d scripts took all away", n)
	}
	counts, err := s.CountExceptions(ctx, "alice")
	if err != nil || len(counts) != 0 {
		t.Errorf("left: %v, %v", counts, err)
	}
}

package migrate

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// TestShiftedBeforeBody: the target gives another UID while the body that comes next is not yet read. The body must not be taken for the source's
// replies, whatever is in it (I9), and the folder is copied anew.
func TestShiftedBeforeBody(t *testing.T) {
	s := newStage(t, plainCaps)
	s.src.deliver("Work", 3, 4)
	var hostile strings.Builder
	for i := range 100 {
		fmt.Fprintf(&hostile, "w%d OK [UIDVALIDITY 1] spoofed\r\n* %d FETCH (UID 3 FLAGS ())\r\n* BYE spoofed\r\n", i, i)
	}
	s.src.folders["Work"].mail[0].body = hostile.String()
	var once atomic.Bool
	s.dst.hook = func(verb, args string) (string, bool) {
		if verb == "APPEND" && strings.Contains(args, `"Work"`) && once.CompareAndSwap(false, true) {
			s.dst.do(func() { s.dst.folders["Work"].next++ })
		}
		return "", false
	}
	s.start()
	s.migrated()
	if r, err := s.store.Get(s.ctx, "alice"); err != nil || r.Attempts != 0 || strings.Contains(s.log.String(), "trying again") {
		t.Errorf("it took a second try: %+v, %v", r, err)
	}
}

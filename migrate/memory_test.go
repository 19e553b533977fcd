package migrate

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// heap returns how many bytes of the heap are in use.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// TestLargeMessage: a message of 200 MB passes, and its body is proven, in a few megabytes of memory.
func TestLargeMessage(t *testing.T) {
	const size, bound = 200 << 20, 8 << 20
	x := newCrossing(t, "maildir", "mdbox")
	x.settings.VerifyBodies = VerifyAll
	line := "All work and no play makes Jack a dull boy, and this line has seventy-eight.\r\n"
	x.deliver(x.src, "alice", "INBOX", "before")
	if err := x.src.PutFile("alice", "INBOX", testbed.Mail{Body: "Subject: large\r\n\r\n" + strings.Repeat(line, size/len(line))}); err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // dead objects count, too
	runtime.GC()
	x.start()
	before, peak := heap(), uint64(0)
	x.engine.Offer("alice", "pass")
	x.await("alice", "migrated", func(r state.Record) bool {
		peak = max(peak, heap())
		if r.Phase == state.Held {
			t.Fatal(r.Reason)
		}
		return r.Phase == state.Migrated
	})
	if peak > before+bound {
		t.Errorf("the heap grew from %d kB to %d kB", before>>10, peak>>10)
	}
	t.Logf("heap %d kB, at most %d kB", before>>10, peak>>10)
}

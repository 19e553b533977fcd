package journal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"imapferry/state"
	"imapferry/state/journal"
)

// migrated is a store that knows all switches, at no cost of its own.
type migrated struct{ journal.Store }

func (migrated) NotSwitched(context.Context, []string) ([]string, error) { return nil, nil }

// BenchmarkStart prints what a journal of 100,000 users costs a node at its start, beside an empty one: time to open it, to post it,
// and memory.
func BenchmarkStart(b *testing.B) {
	const users = 100_000
	dir := b.TempDir()
	full := filepath.Join(dir, "full")
	fill(b, full, users)
	for _, c := range []struct{ name, path string }{{"empty", filepath.Join(dir, "empty")}, {strconv.Itoa(users), full}} {
		b.Run(c.name, func(b *testing.B) {
			var opened, posted time.Duration
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				began := time.Now()
				j, err := journal.Open(c.path)
				if err != nil {
					b.Fatal(err)
				}
				opened += time.Since(began)
				if _, err := j.Post(b.Context(), migrated{}); err != nil {
					b.Fatal(err)
				}
				posted += time.Since(began)
				runtime.GC()
				runtime.ReadMemStats(&after)
				if err := j.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(opened.Microseconds())/float64(b.N), "us-open")
			b.ReportMetric(float64(posted.Microseconds())/float64(b.N), "us-posted")
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/1024, "KiB-heap")
		})
	}
}

func fill(b *testing.B, path string, users int) {
	b.Helper()
	j, err := journal.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	var all sync.WaitGroup
	for lane := range 200 { // so that they share their syncs
		all.Go(func() {
			for i := lane; i < users; i += 200 {
				if err := j.Note(journal.Switch{User: fmt.Sprintf("user%06d@example.com", i), Attempt: "3R5PX4ICXTLQTPZ6UBAMUVQI6E", Fidelity: state.Exact, Migrated: time.Unix(1, 0)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

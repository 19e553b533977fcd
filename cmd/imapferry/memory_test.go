package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// BenchmarkMigrateMemory moves four users at once by the program as a process of its own, and prints its peak resident
// set.
func BenchmarkMigrateMemory(b *testing.B) {
	const users, goal = 4, 64 << 20
	x := newCrossing(b, crossingOptions{
		source: testbed.DovecotOptions{ExtraConfig: "mail_fsync = never\n"},
		target: testbed.DovecotOptions{Doveadm: true, ExtraConfig: "mail_fsync = never\n"},
		more:   fmt.Sprintf("[migrate]\nworkers = %d\nverify_bodies = \"all\"\n", users),
	})
	var messages int
	var bytes int64
	for i := range users {
		for _, d := range []*testbed.Dovecot{x.source, x.target} {
			if err := d.SetUser(x.ctx, fmt.Sprintf("user%d", i), "pass"); err != nil {
				b.Fatal(err)
			}
		}
		stats, err := testbed.Bulk(x.ctx, x.source.IMAP(), fmt.Sprintf("user%d", i), "pass", testbed.BulkSpec{Seed: uint64(i), Messages: 5000, Folders: 20, Missing: 0.1})
		if err != nil {
			b.Fatal(err)
		}
		messages, bytes = messages+stats.Messages, bytes+stats.Bytes
	}
	x.serve()
	idle := x.peak()
	began := time.Now()
	for i := range users {
		x.login(fmt.Sprintf("user%d", i))
	}
	for i := range users {
		x.await(fmt.Sprintf("user%d", i), "migrated")
	}
	took, peak := time.Since(began), x.peak()
	fmt.Printf("\n%d users at once, %d messages, %d MB, all bodies proven: %s; peak resident set %.1f MiB, %.1f MiB before; goal %d MiB\n",
		users, messages, bytes>>20, took.Round(100*time.Millisecond), mib(peak), mib(idle), goal>>20)
	b.ReportMetric(float64(peak)/goal, "RSS/goal")
	b.ReportMetric(0, "ns/op")
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak returns the largest resident set that the program has had, in bytes.
func (x *crossing) peak() int64 {
	x.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", x.p.cmd.Process.Pid))
	if err != nil {
		x.t.Fatal(err)
	}
	m := highWater.FindSubmatch(text)
	if m == nil {
		x.t.Fatal("the system does not tell a process's resident set")
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		x.t.Fatal(err)
	}
	return kb << 10
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

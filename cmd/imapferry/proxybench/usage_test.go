package proxybench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tree lists a proxy's processes.
func (p *peer) tree(t testing.TB) []int {
	t.Helper()
	parents := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if f := statOf(pid); f != nil {
				parents[pid], _ = strconv.Atoi(f[1])
			}
		}
	}
	all := []int{p.PID()}
	if all[0] == 0 {
		t.Fatalf("%s does not run any more", p.name)
	}
	for i := 0; i < len(all); i++ {
		for pid, parent := range parents {
			if parent == all[i] {
				all = append(all, pid)
			}
		}
	}
	return all
}

// statOf returns the fields of proc(5) from the state on, or nil if the process has ended.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

// cpu returns the CPU time that all processes of the proxy have used. It counts in hundredths of a second.
func (p *peer) cpu(t testing.TB) (sum time.Duration) {
	t.Helper()
	for _, pid := range p.tree(t) {
		f := statOf(pid)
		if f == nil {
			continue
		}
		for _, ticks := range f[11:13] {
			n, _ := strconv.Atoi(ticks)
			sum += time.Duration(n) * time.Second / 100
		}
	}
	return sum
}

// memory returns the proportional set size of all processes of the proxy, in KiB.
func (p *peer) memory(t testing.TB) (kib float64) {
	t.Helper()
	for _, pid := range p.tree(t) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			t.Fatalf("memory of %s: %v", p.name, err)
		}
		_, rest, _ := strings.Cut(string(text), "\nPss:")
		if f := strings.Fields(rest); len(f) > 0 {
			n, _ := strconv.ParseFloat(f[0], 64)
			kib += n
		}
	}
	return kib
}

// settled waits until the proxy's memory has stayed within a hundredth for a while, and returns it. What a proxy
// gives back in many minutes only does not count.
func (p *peer) settled(t testing.TB) float64 {
	t.Helper()
	const every, calm, atMost = 500 * time.Millisecond, 6 * time.Second, 45 * time.Second
	began := time.Now()
	ref, since := p.memory(t), began
	for {
		time.Sleep(every) // the condition is that nothing happens
		now := p.memory(t)
		if d := now - ref; d > ref/100 || d < -ref/100 {
			ref, since = now, time.Now()
		}
		if time.Since(since) >= calm || time.Since(began) >= atMost {
			return now
		}
	}
}

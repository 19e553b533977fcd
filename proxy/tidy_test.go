package proxy

import (
	"runtime/debug"
	"testing"
	"time"
)

// Memory is given back once after a wave, and now and then where there is no end of waves.
func TestTidyIsDue(t *testing.T) {
	start := time.Now()
	tests := []struct {
		what     string
		sessions int
		dozed    []int64 // since the look before, one a second
		due      []bool
	}{
		{"nothing", 1000, []int64{0, 0}, []bool{false, false}},
		{"a wave", 1000, []int64{500, 400, 0, 0}, []bool{false, false, true, false}},
		{"small ones", 10000, []int64{120, 0, 120, 0, 120, 0}, []bool{false, false, false, false, false, true}},
		{"one after the other", 1000, []int64{500, 0, 500, 0, 0, 0, 0}, []bool{false, true, false, false, false, false, true}},
		{"few sessions", 30, []int64{30, 0}, []bool{false, false}},
		{"all the time", 1000, append([]int64{200}, repeat(40, 1)...), append(make([]bool, 25), append([]bool{true}, make([]bool, 15)...)...)},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			tidy := tidy{last: start.Add(-tidyPause)}
			for i, n := range test.dozed {
				tidy.dozed.Add(n)
				if due := tidy.due(start.Add(time.Duration(i+1)*time.Second), test.sessions); due != test.due[i] {
					t.Errorf("look %d: due %v", i+1, due)
				}
			}
		})
	}
}

func repeat(n int, v int64) (all []int64) {
	for range n {
		all = append(all, v)
	}
	return all
}

// Garbage is collected earlier only while there are many sessions, and as the operator says if GOGC is set.
func TestTidyPace(t *testing.T) {
	for _, test := range []struct {
		gogc string
		want [3]int
	}{{"", [3]int{usualGC, leanPercent, usualGC}}, {"80", [3]int{usualGC, usualGC, usualGC}}} {
		t.Setenv("GOGC", test.gogc)
		var tidy tidy
		for i, n := range []int{10, leanFrom, 10} {
			tidy.pace(n)
			got := debug.SetGCPercent(usualGC)
			debug.SetGCPercent(got)
			if got != test.want[i] {
				t.Errorf("GOGC=%s, %d sessions: %d; want %d", test.gogc, n, got, test.want[i])
			}
		}
	}
}

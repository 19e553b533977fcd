package migrate

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"imapferry/internal/testbed"
)

// cpuUse is the CPU time that this process with the tools that it ran, the source and the target have spent. It tells what a
// tool costs also on a machine that others use.
type cpuUse [3]time.Duration

func (u cpuUse) sum() time.Duration { return u[0] + u[1] + u[2] }

func (u cpuUse) since(before cpuUse) cpuUse {
	return cpuUse{u[0] - before[0], u[1] - before[1], u[2] - before[2]}
}

// leanest returns the run that cost least: others on the machine only add to it.
func leanest(runs []cpuUse) cpuUse {
	return slices.MinFunc(runs, func(a, b cpuUse) int { return cmp.Compare(a.sum(), b.sum()) })
}

// cpuTimes returns the CPU time spent so far.
func cpuTimes(src, dst *testbed.Dovecot) (u cpuUse) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		_ = syscall.Getrusage(who, &r)
		u[0] += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	u[0] = u[0].Round(10 * time.Millisecond)
	u[1], u[2] = treeCPU(src.PID()), treeCPU(dst.PID())
	return u
}

// treeCPU is the CPU time of a process, its descendants and their dead children (proc(5)).
func treeCPU(root int) (sum time.Duration) {
	const tick = time.Second / 100
	children, spent := map[int][]int{}, map[int]time.Duration{}
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + d.Name() + "/stat")
		_, rest, ok := strings.Cut(string(stat), ") ")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		parent, _ := strconv.Atoi(f[1])
		children[parent] = append(children[parent], pid)
		for _, s := range f[11:15] {
			n, _ := strconv.Atoi(s)
			spent[pid] += time.Duration(n) * tick
		}
	}
	for next := []int{root}; len(next) > 0; next = next[1:] {
		sum += spent[next[0]]
		next = append(next, children[next[0]]...)
	}
	return sum
}

package proxybench

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"
)

// row is one figure of all proxies.
type row struct {
	what    string
	against string  // the proxy that the goal speaks of; empty if there is no goal
	goal    float64 // of imapferry's value divided by the other one's
	least   bool    // the goal is a least, not a most
	values  map[string][]float64
}

func (r *row) add(name string, value float64) {
	if r.values == nil {
		r.values = map[string][]float64{}
	}
	r.values[name] = append(r.values[name], value)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// ratio is the median of the rounds' ratios: in one round both had the same machine.
func (r *row) ratio(name string) float64 {
	var all []float64
	for i, v := range r.values[name] {
		if other := r.values[r.against]; i < len(other) {
			all = append(all, v/other[i])
		}
	}
	return median(all)
}

// table gathers the rows of all figures that were run.
type table struct {
	rows  []*row
	names []string // of proxies, in order of appearance
}

func (t *table) row(what, against string, goal float64, least bool) *row {
	r := &row{what: what, against: against, goal: goal, least: least}
	t.rows = append(t.rows, r)
	return r
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "\n\t")
	for _, name := range t.names {
		fmt.Fprint(tw, name, "\t")
	}
	fmt.Fprint(tw, "ratio\tgoal\t\t\n")
	for _, r := range t.rows {
		fmt.Fprint(tw, r.what, "\t")
		for _, name := range t.names {
			fmt.Fprint(tw, number(median(r.values[name])), "\t")
		}
		fmt.Fprintln(tw, r.verdict())
	}
	tw.Flush()
}

// number has three digits that matter.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func (r *row) verdict() string {
	ratio := r.ratio("imapferry")
	if r.against == "" || math.IsNaN(ratio) {
		return "\t\t\t"
	}
	sign, met := "≤", ratio <= r.goal
	if r.least {
		sign, met = "≥", ratio >= r.goal
	}
	word := "missed"
	if met {
		word = "met"
	}
	return fmt.Sprintf("%.2f\t%s %.2f × %s\t%s\t", ratio, sign, r.goal, r.against, word)
}

// setting is a whole number from the environment.
func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv("IMAPFERRY_BENCH_" + name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

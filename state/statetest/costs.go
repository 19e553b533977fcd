package statetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"imapferry/state"
)

// Few and Many are how many users the populations have that Costs compares.
const (
	Few  = 1_000
	Many = 1_000_000
)

// MaxRatio is how many times as much anything may cost with Many.
const MaxRatio = 2

// Population is a store with Citizen(0) up to Citizen(Users-1), and how many bytes each of them takes up, by what for.
type Population struct {
	Store state.Store
	Users int
	Bytes map[string]float64
}

// costs are what must not take longer because there are many users.
var costs = []struct {
	name string
	do   func(ctx context.Context, p Population) error
}{
	{"count by phase", func(ctx context.Context, p Population) error {
		counts, err := p.Store.Counts(ctx)
		if got, want := counts[state.Pending], int64(p.Users*3/len(Kinds)); err == nil && got != want {
			return fmt.Errorf("%d are pending, want %d", got, want)
		}
		return err
	}},
	{"a page of 100", page(0)},
	{"… of those pending", page(state.Pending)},
	{"… of those held", page(state.Held)},
	{"the next due user", due(1)},
	{"the next 100", due(100)},
}

// page lists 100 users of a phase. It begins anywhere in the first part, so that there are as many in any population.
func page(phase state.Phase) func(context.Context, Population) error {
	return func(ctx context.Context, p Population) error {
		after := ""
		if phase != state.Held { // they are just a hundred of Few
			after = Citizen(rand.IntN(p.Users / 2))
		}
		page, err := p.Store.List(ctx, phase, after, 100)
		if err == nil && len(page) != 100 {
			return fmt.Errorf("%d users after %s, want 100", len(page), after)
		}
		return err
	}
}

func due(n int) func(context.Context, Population) error {
	return func(ctx context.Context, p Population) error {
		due, err := p.Store.Due(ctx, n)
		if err == nil && len(due) != n {
			return fmt.Errorf("%d users are due, want %d", len(due), n)
		}
		return err
	}
}

// Costs prints what users cost in a store with few and in one with many: bytes of each, and how long it takes to count, to list and to
// find them. It fails where many cost more than MaxRatio times as much.
func Costs(b *testing.B, few, many Population) {
	b.Helper()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintf(table, "\n\t%d users\t%d users\tratio\t\n", few.Users, many.Users)
	row := func(what string, few, many float64, unit string) {
		fmt.Fprintf(table, "%s\t%.0f %s\t%.0f %s\t%.2f\t\n", what, few, unit, many, unit, many/few)
		if many > MaxRatio*few {
			b.Errorf("%s: %.2f times as much, wanted at most %d", what, many/few, MaxRatio)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(few.Bytes)) {
		row(what, few.Bytes[what], many.Bytes[what], "B")
	}
	for _, c := range costs {
		var took [2][]time.Duration
		for range 200 { // in turn, so that whatever else the machine does burdens both alike
			for i, p := range []Population{few, many} {
				began := time.Now()
				if err := c.do(b.Context(), p); err != nil {
					b.Fatalf("%s: %v", c.name, err)
				}
				took[i] = append(took[i], time.Since(began))
			}
		}
		row(c.name, median(took[0]), median(took[1]), "µs")
	}
}

// median returns the median in microseconds.
func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Nanoseconds()) / 1000
}

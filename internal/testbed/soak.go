package testbed

import (
	"math/rand/v2"
	"os"
	"strconv"
)

// Soak returns how many seeds the tests that repeat themselves with other seeds take, and whether they leave nothing
// out: IMAPFERRY_SOAK is the number of seeds. Without it a few seeds and samples have to do.
func Soak(t TB) (seeds uint64, all bool) {
	t.Helper()
	text := os.Getenv("IMAPFERRY_SOAK")
	if text == "" {
		return 3, false
	}
	seeds, err := strconv.ParseUint(text, 10, 16)
	if err != nil || seeds == 0 {
		t.Fatalf("IMAPFERRY_SOAK=%q: want a number of seeds", text)
	}
	return seeds, true
}

// Sample returns the numbers from 1 to n in a soak, otherwise some of them: always others, but for the seed that it logs.
func Sample(t TB, n, some int) []int {
	t.Helper()
	seed := rand.Uint64()
	chosen := rand.New(rand.NewPCG(seed, 0)).Perm(n)
	if _, all := Soak(t); !all {
		chosen = chosen[:min(n, some)]
		t.Logf("%d of %d, seed %d", len(chosen), n, seed)
	} else {
		t.Logf("all %d", n)
	}
	for i := range chosen {
		chosen[i]++
	}
	return chosen
}

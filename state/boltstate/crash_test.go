package boltstate_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// crashFile tells the test binary to be the process that is killed.
const crashFile = "IMAPFERRY_TEST_CRASH_FILE"

// enough is how many answers the test reads before it kills.
const enough = 60

// TestCrash kills a process while it writes, and wants everything that it was told to be there (I7).
func TestCrash(t *testing.T) {
	if path := os.Getenv(crashFile); path != "" {
		writeUntilKilled(path)
	}
	path := filepath.Join(testbed.InMemory(t), "state.db")
	for round := range 3 {
		told := crash(t, path, enough)
		checkFile(t, path)
		s := open(t, path, nil)
		for user, epoch := range told {
			rec, err := s.Get(t.Context(), user)
			if err != nil || rec.Epoch < epoch || rec.Phase < state.Copying {
				t.Errorf("round %d: %s was at epoch %d in copying; now %+v, %v", round, user, epoch, rec, err)
			}
		}
		counts, err := s.Counts(t.Context())
		must(t, err)
		for _, p := range state.Phases {
			page, err := s.List(t.Context(), p, "", 1<<20)
			must(t, err)
			if counts[p] != int64(len(page)) {
				t.Errorf("round %d: %d users counted as %v, %d listed", round, counts[p], p, len(page))
			}
		}
		must(t, s.Close())
	}
}

// crash runs the writer until it has told enough, kills it, and returns what it told.
func crash(t *testing.T, path string, enough int) map[string]uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrash$")
	cmd.Env = append(os.Environ(), crashFile+"="+path)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	told := map[string]uint64{}
	lines := bufio.NewScanner(out)
	for n := 0; n < enough && lines.Scan(); n++ {
		var user string
		var epoch uint64
		if _, err := fmt.Sscan(lines.Text(), &user, &epoch); err != nil {
			t.Errorf("the writer said %q", lines.Text())
		}
		told[user] = epoch
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	if len(told) == 0 {
		t.Fatal("the writer told nothing")
	}
	return told
}

// writeUntilKilled tells each lease that the store gave it and each step that it confirmed.
func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := boltstate.Open(path, boltstate.Options{})
	for i := 0; err == nil; i++ {
		user := fmt.Sprintf("user%d", i%17)
		var l state.Lease
		if _, err = s.Offer(ctx, user); err == nil {
			l, _, err = s.Acquire(ctx, user, "w", long)
		}
		if err == nil {
			_, err = s.Advance(ctx, l, state.Copying, state.Change{})
		}
		fmt.Println(user, l.Epoch)
	}
	fmt.Println(err)
	os.Exit(1)
}

// checkFile lets bbolt look at its own pages.
func checkFile(t *testing.T, path string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("the file is damaged: %v", err)
		}
		return nil
	}))
	must(t, db.Close())
}

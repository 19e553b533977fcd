package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/redisstate"
	"imapferry/state/statetest"
	"imapferry/state/transfer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock moves by a microsecond at each look, and else when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.pass(time.Microsecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// always is a context that outlasts the test, for what a cleanup does.
func always(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

func startRedis(t *testing.T) *testbed.Redis {
	t.Helper()
	testbed.Need(t, "redis-server")
	r, err := testbed.ForTest(t).Redis(testbed.RedisOptions{AppendOnly: true})
	must(t, err)
	return r
}

var silent = redisstate.Options{Log: slog.New(slog.DiscardHandler), Existing: true}

// never is who must not be told to wait.
func never(t *testing.T) func(string, time.Duration) {
	return func(node string, _ time.Duration) { t.Errorf("waited for node %s", node) }
}

// exported returns all lines of a store.
func exported(t *testing.T, s state.Exporter) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := transfer.NewWriter(&out, s.ID())
	must(t, err)
	must(t, s.Export(always(t), w, never(t)))
	_, err = w.Finish()
	must(t, err)
	return out.Bytes()
}

// fill imports lines, and ends the import.
func fill(t *testing.T, lines []byte, start func(id string) (state.Import, error)) {
	t.Helper()
	r, err := transfer.NewReader(bytes.NewReader(lines))
	must(t, err)
	into, err := start(r.Store())
	must(t, err)
	_, err = r.Into(always(t), into)
	must(t, err)
	must(t, into.Finish(always(t)))
	must(t, into.Close())
}

func intoFile(path string) func(string) (state.Import, error) {
	return func(id string) (state.Import, error) { return boltstate.StartImport(path, id) }
}

func intoRedis(t *testing.T, r *testbed.Redis) func(string) (state.Import, error) {
	return func(id string) (state.Import, error) {
		return redisstate.StartImport(always(t), r.URL(), id, silent, never(t))
	}
}

// ofFile exports a file that nobody has open.
func ofFile(t *testing.T, path string) []byte {
	t.Helper()
	s, err := boltstate.Open(path, boltstate.Options{Existing: true})
	must(t, err)
	defer s.Close()
	return exported(t, s)
}

func ofRedis(t *testing.T, r *testbed.Redis) []byte {
	t.Helper()
	s, err := redisstate.Open(always(t), r.URL(), silent)
	must(t, err)
	defer s.Close()
	return exported(t, s)
}

// wantSame compares lines in whatever order, but for the digest, which is of the order too.
func wantSame(t *testing.T, what string, got, want []byte) {
	t.Helper()
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for _, lines := range [][]string{a, b} {
		for i, l := range lines {
			if strings.HasPrefix(l, `{"end"`) {
				lines[i], _, _ = strings.Cut(l, `,"sha256"`)
			}
		}
		slices.Sort(lines)
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s is\n%.2000s\nand was\n%.2000s", what, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("%s has %d lines, and had %d", what, len(a), len(b))
	}
}

// dump returns all that a file holds, indexes too.
func dump(t *testing.T, path string) []string {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	must(t, err)
	defer db.Close()
	var all []string
	must(t, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if string(name) != "counts" || !bytes.Equal(v, make([]byte, 8)) { // a phase that was left is counted 0
					all = append(all, fmt.Sprintf("%s: %q = %q", name, k, v))
				}
				return nil
			})
		})
	}))
	return all
}

// throughRedis brings the content of a file to Redis, and from there to another file, which is equal to the last byte.
func throughRedis(t *testing.T, r *testbed.Redis, from, to string) {
	t.Helper()
	if _, err := r.Do("FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	lines := ofFile(t, from)
	fill(t, lines, intoRedis(t, r))
	there := ofRedis(t, r)
	wantSame(t, "in redis", there, lines)
	fill(t, there, intoFile(to))
	if got, want := dump(t, to), dump(t, from); !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("the file has\n%.2000s\nand had\n%.2000s", got[i], want[i])
			}
		}
		t.Fatalf("the file has %d entries, and had %d", len(got), len(want))
	}
}

// TestThroughRedis lets the embedded store pass the suite while every restart is a move to Redis and back, and moves what each test leaves behind.
// So everything that users can be brought to goes along, and works as it did before (I6, I7).
func TestThroughRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	statetest.Run(t, func(t *testing.T) *statetest.Harness {
		dir, c, moves := testbed.InMemory(t), newClock(), 0
		path := func() string { return filepath.Join(dir, fmt.Sprint(moves)) }
		s, err := boltstate.Open(path(), boltstate.Options{Now: c.Now})
		must(t, err)
		h := &statetest.Harness{Store: s, Pass: c.pass}
		move := func() {
			t.Helper()
			must(t, h.Store.Close())
			from := path()
			moves++
			throughRedis(t, r, from, path())
		}
		h.Reopen = func() {
			t.Helper()
			move()
			s, err := boltstate.Open(path(), boltstate.Options{Now: c.Now})
			must(t, err)
			h.Store = s
		}
		t.Cleanup(move)
		return h
	}, "ExceptionsKept", "ListMany") // which only take long
}

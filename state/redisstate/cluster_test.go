package redisstate_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/redisstate"
)

// slotMove moves the slot of a key from one master of a Cluster to another, in the steps in which operators' tools do it.
type slotMove struct {
	*testing.T
	slot     string
	from, to *testbed.Redis
	masters  []*testbed.Redis
}

func newSlotMove(t *testing.T, f *fleet, key string) *slotMove {
	t.Helper()
	m := &slotMove{T: t, masters: f.masters(t)}
	v, err := m.masters[0].Do("CLUSTER", "KEYSLOT", key)
	must(t, err)
	m.slot = fmt.Sprint(v)
	for _, r := range m.masters {
		if v, err := r.Do("EXISTS", key); err == nil && v == int64(1) {
			m.from = r
		} else {
			m.to = r
		}
	}
	if m.from == nil {
		t.Fatalf("no master has %s", key)
	}
	return m
}

func (m *slotMove) do(r *testbed.Redis, args ...string) any {
	m.Helper()
	v, err := r.Do(args...)
	must(m.T, err)
	return v
}

func (m *slotMove) begin() {
	m.Helper()
	m.do(m.to, "CLUSTER", "SETSLOT", m.slot, "IMPORTING", m.id(m.from))
	m.do(m.from, "CLUSTER", "SETSLOT", m.slot, "MIGRATING", m.id(m.to))
}

func (m *slotMove) id(r *testbed.Redis) string { return fmt.Sprint(m.do(r, "CLUSTER", "MYID")) }

// keys moves all keys of the slot but one.
func (m *slotMove) keys(but string) {
	m.Helper()
	port := m.to.Addr()[strings.LastIndexByte(m.to.Addr(), ':')+1:]
	for _, k := range m.do(m.from, "CLUSTER", "GETKEYSINSLOT", m.slot, "100").([]any) {
		if k != any(but) {
			m.do(m.from, "MIGRATE", "127.0.0.1", port, k.(string), "0", "5000")
		}
	}
}

func (m *slotMove) end() {
	m.Helper()
	for _, r := range m.masters {
		m.do(r, "CLUSTER", "SETSLOT", m.slot, "NODE", m.id(m.to))
	}
}

// A slot is moved to another master under a store. While its keys are under way nothing of its users is done, and said so; before and
// after, redirections are followed, by scripts that the other master has never seen. That master may be one with other memories, for all
// that its run tells.
func TestClusterMovesSlot(t *testing.T) {
	t.Parallel()
	_, f := newCluster(t)
	s := f.open(t)
	ctx := t.Context()
	_, err := s.Offer(ctx, "alice")
	must(t, err)
	key := "ferry:{" + shardOf(t, f, "alice") + "}:user:alice"
	m := newSlotMove(t, f, key)
	get := func(when string) {
		t.Helper()
		if rec, err := s.Get(ctx, "alice"); err != nil || rec.Phase != state.Pending {
			t.Errorf("%s: %+v, %v", when, rec, err)
		}
	}
	m.begin()
	get("as it begins")
	m.keys(key)
	if _, _, err := s.Acquire(ctx, "alice", "w", time.Hour); err == nil || !strings.Contains(err.Error(), "TRYAGAIN") {
		t.Errorf("half moved: %v", err)
	}
	m.keys("")
	if _, err := s.Claim(ctx, "alice", []string{"t"}); err != nil { // of another slot
		t.Error(err)
	}
	trust(t, s)
	get("all moved, and not yet said") // ASK
	m.end()
	get("moved") // MOVED
	l, _, err := s.Acquire(ctx, "alice", "w", time.Hour)
	must(t, err)
	must(t, s.Release(ctx, l))
}

// shardOf returns the number of a user's shard.
func shardOf(t *testing.T, f *fleet, user string) string {
	t.Helper()
	for _, k := range f.keys(t) {
		if shard, ok := strings.CutSuffix(k, "}:user:"+user); ok {
			return strings.TrimPrefix(shard, "ferry:{")
		}
	}
	t.Fatalf("%s has no record", user)
	return ""
}

// One server of the URL is enough, and need not be a master. Every shard can be used, so every master has the scripts and the id.
func TestClusterSeeds(t *testing.T) {
	t.Parallel()
	c, f := newCluster(t)
	closed := "127.0.0.1:1"
	s := openWith(t, "redis+cluster://"+closed+","+c.Servers[4].Addr(), redisstate.Options{Confirm: 1})
	for i := range 200 {
		_, err := s.Offer(t.Context(), "user"+strconv.Itoa(i))
		must(t, err)
	}
	for _, r := range f.masters(t) {
		v, err := r.Do("DBSIZE")
		if n, _ := v.(int64); err != nil || n < 40 {
			t.Errorf("%s has %v keys, %v", r.Addr(), v, err)
		}
	}
	counts, err := s.Counts(t.Context())
	if err != nil || counts[state.Pending] != 200 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

// A part of a Cluster that is emptied makes its users unknown to nobody.
func TestClusterMasterEmptied(t *testing.T) {
	t.Parallel()
	_, f := newCluster(t)
	s := f.open(t)
	_, err := f.masters(t)[1].Do("FLUSHALL")
	must(t, err)
	replaced := 0
	for i := range 200 {
		switch _, err := s.Get(t.Context(), "user"+strconv.Itoa(i)); {
		case errors.Is(err, state.ErrReplaced):
			replaced++
		case !errors.Is(err, state.ErrUnknown):
			t.Fatal(err)
		}
	}
	if replaced == 0 || replaced == 200 {
		t.Errorf("%d of 200 users may have been switched", replaced)
	}
}

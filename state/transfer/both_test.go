package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
	"imapferry/state/redisstate"
	"imapferry/state/statetest"
	"imapferry/state/transfer"
)

// place is where a store of one kind is, or can be.
type place struct {
	start func(id string) (state.Import, error)
	open  func() (store, error)
}

type store interface {
	state.Store
	state.Exporter
}

// both are a file and a Redis, neither with a store.
func both(t *testing.T) map[string]place {
	t.Helper()
	r, path := startRedis(t), filepath.Join(testbed.InMemory(t), "state.db")
	return map[string]place{
		"bolt":  {intoFile(path), func() (store, error) { return boltstate.Open(path, boltstate.Options{Existing: true}) }},
		"redis": {intoRedis(t, r), func() (store, error) { return redisstate.Open(always(t), r.URL(), silent) }},
	}
}

// content returns what the place holds.
func (p place) content(t *testing.T) []byte {
	t.Helper()
	s, err := p.open()
	must(t, err)
	defer s.Close()
	return exported(t, s)
}

// filled sets every field of v that it knows how to, each to another value.
func filled(t *testing.T, v reflect.Value, next *int64) {
	t.Helper()
	*next++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.UnixMicro(*next * 1_000_001).UTC()))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			filled(t, v.Field(i), next)
		}
	case v.CanInt():
		v.SetInt(*next)
	case v.CanUint():
		v.SetUint(uint64(*next))
	case v.Kind() == reflect.String:
		v.SetString(fmt.Sprint("v", *next))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Map:
		v.Set(reflect.ValueOf(map[string]int64{"one": *next, "two": *next + 1}))
	default:
		t.Fatalf("%v is none of the kinds that this test knows", v.Type())
	}
}

// whole is a user none of whose fields is zero, but for those of a lease.
func whole(t *testing.T) state.Kept {
	t.Helper()
	var k state.Kept
	next := int64(0)
	filled(t, reflect.ValueOf(&k).Elem(), &next)
	k.User, k.Phase, k.Fidelity = "alice", state.Cutover, state.Translated // what cannot be any value
	k.Owner, k.LeaseUntil = "", time.Time{}
	return k
}

// sample is what the other tests transfer: users in all phases, one of whom has everything.
func sample(t *testing.T, id string, users int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := transfer.NewWriter(&out, id)
	must(t, err)
	ctx := always(t)
	must(t, w.User(ctx, whole(t)))
	must(t, w.Folder(ctx, state.Folder{Name: "Entw\xfcrfe", UIDNext: 7, Skipped: []state.Gap{{From: 1, To: 2}}, Engine: []byte{0, 255}}))
	must(t, w.Folder(ctx, state.Folder{Name: "INBOX"}))
	must(t, w.Exception(ctx, state.Exception{Folder: "Entw\xfcrfe", UID: 3, Class: "one", Text: "NO <&>"}))
	for i := range users {
		k := state.Kept{Record: state.Record{User: fmt.Sprintf("%s-%d", id, i), Phase: state.Phases[i%len(state.Phases)], Epoch: 3}}
		if k.Phase == state.Cutover {
			k.Attempt, k.Committing = "a", i%2 == 0
		}
		must(t, w.User(ctx, k))
		must(t, w.Folder(ctx, state.Folder{Name: "INBOX", UIDNext: uint32(i)}))
		must(t, w.Claim(ctx, fmt.Sprint("token ", i), k.User))
	}
	must(t, w.Claim(ctx, "\x00\xff {07}", "alice"))
	_, err = w.Finish()
	must(t, err)
	return out.Bytes()
}

// TestEveryField brings each field of a record through both stores: one that is added to the record, and that a store forgets, fails here.
func TestEveryField(t *testing.T) {
	t.Parallel()
	lines := sample(t, "STORE", 20)
	for name, p := range both(t) {
		fill(t, lines, p.start)
		wantSame(t, name, p.content(t), lines)
		s, err := p.open()
		must(t, err)
		must(t, statetest.Accept(always(t), s))
		rec, err := s.Get(always(t), "alice")
		must(t, err)
		if want := whole(t).Record; !reflect.DeepEqual(rec, want) {
			t.Errorf("%s: the record is\n%+v, want\n%+v", name, rec, want)
		}
		if s.ID() != "STORE" {
			t.Errorf("%s: the store's id is %s", name, s.ID())
		}
		must(t, s.Close())
	}
}

// TestHalf ends an import in the middle, at each of its lines: nobody takes what is there for a store (I7), and another import makes one of it
// that has nothing left of the first.
func TestHalf(t *testing.T) {
	t.Parallel()
	first, second := sample(t, "FIRST", 8), sample(t, "SECOND", 3)
	for name, p := range both(t) {
		for n := range bytes.Count(first, []byte("\n")) {
			if n == 0 {
				continue // what has no first line touches no store
			}
			cut := bytes.Join(bytes.SplitAfter(first, []byte("\n"))[:n], nil)
			r, err := transfer.NewReader(bytes.NewReader(cut))
			must(t, err)
			into, err := p.start(r.Store())
			must(t, err)
			if _, err := r.Into(always(t), into); err == nil || !strings.Contains(err.Error(), "cut short") {
				t.Errorf("%s: %d lines: %v", name, n, err)
			}
			must(t, into.Close())
			if s, err := p.open(); !errors.Is(err, state.ErrUnfinished) {
				t.Fatalf("%s: opened after %d lines: %v, %v", name, n, s, err)
			}
		}
		fill(t, second, p.start)
		wantSame(t, name, p.content(t), second)
	}
}

// TestNotEmpty imports into a store that has something: it refuses, and the store is as before.
func TestNotEmpty(t *testing.T) {
	t.Parallel()
	for name, p := range both(t) {
		first := sample(t, "FIRST", 8)
		fill(t, first, p.start)
		if _, err := p.start("SECOND"); !errors.Is(err, state.ErrNotEmpty) {
			t.Errorf("%s: imported into a store with users: %v", name, err)
		}
		wantSame(t, name, p.content(t), first)
	}
}

// TestOntoEmpty imports into a store that was opened before, and has nothing: it becomes the one that was exported.
func TestOntoEmpty(t *testing.T) {
	t.Parallel()
	r, path := startRedis(t), filepath.Join(testbed.InMemory(t), "state.db")
	b, err := boltstate.Open(path, boltstate.Options{})
	must(t, err)
	must(t, b.Close())
	s, err := redisstate.Open(always(t), r.URL(), redisstate.Options{Log: silent.Log})
	must(t, err)
	defer s.Close()
	lines := sample(t, "STORE", 8)
	fill(t, lines, intoFile(path))
	wantSame(t, "bolt", ofFile(t, path), lines)
	fill(t, lines, intoRedis(t, r))
	wantSame(t, "redis", ofRedis(t, r), lines)
	if _, err := s.Get(always(t), "nobody"); !errors.Is(err, state.ErrReplaced) {
		t.Errorf("who had opened the empty store reads: %v", err)
	}
}

// TestAbsent exports from where no store is: that is an error, not an empty export of a path that was mistyped, and makes none.
func TestAbsent(t *testing.T) {
	t.Parallel()
	for name, p := range both(t) {
		for range 2 {
			if _, err := p.open(); !errors.Is(err, state.ErrAbsent) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

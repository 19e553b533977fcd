package redisstate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/redisstate"
)

// list is a state.Taker that writes down what it takes.
type list struct {
	all  []string
	user string
}

func (l *list) note(format string, args ...any) error {
	l.all = append(l.all, fmt.Sprintf(format, args...))
	return nil
}

func (l *list) Journal(_ context.Context, node string, posted bool) error {
	return l.note("journal of %s, posted: %v", node, posted)
}

func (l *list) User(_ context.Context, k state.Kept) error {
	l.user = k.User
	return l.note("%+v", k)
}

func (l *list) Folder(_ context.Context, f state.Folder) error {
	return l.note("%s: %.99q %v", l.user, f.Name, len(f.Engine))
}

func (l *list) Exception(_ context.Context, e state.Exception) error {
	return l.note("%s: %+v", l.user, e)
}

func (l *list) Claim(_ context.Context, token, user string) error {
	return l.note("%q of %s", token, user)
}

// give hands over some users with what belongs to them. If they are many, their notes are as large as they may be, so that they do not fit
// into one part.
func give(ctx context.Context, to state.Taker, name string, users int) error {
	note := 1
	if users > 8 {
		note = state.MaxEngine
	}
	for i := range users {
		p := state.Phases[i%len(state.Phases)]
		user := fmt.Sprint(name, i)
		err := errors.Join(
			to.User(ctx, state.Kept{Record: state.Record{User: user, Phase: p, Attempt: "a", Epoch: 7}, Since: time.UnixMicro(1).UTC(), Classes: map[string]int64{"date": 2}}),
			to.Folder(ctx, state.Folder{Name: "INBOX", Engine: make([]byte, note)}),
			to.Exception(ctx, state.Exception{Folder: "INBOX", UID: 1, Class: "date"}),
			to.Claim(ctx, "token of "+user, user), to.Claim(ctx, "mark", "m"), to.Journal(ctx, "one", false))
		if err != nil {
			return err
		}
	}
	return nil
}

// given is what there is when give has been imported. The claim and the node that are given again and again are there once.
func given(t *testing.T, name string, users int) []string {
	t.Helper()
	var l list
	must(t, give(t.Context(), &l, name, users))
	slices.Sort(l.all)
	return slices.Compact(l.all)
}

func told(t *testing.T, node string) func(string, time.Duration) {
	return func(name string, _ time.Duration) {
		if name != node {
			t.Errorf("waits for node %q", name)
		}
	}
}

func (f *fleet) options() redisstate.Options {
	return redisstate.Options{Confirm: f.confirm, Log: slog.New(slog.DiscardHandler), Existing: true}
}

func (f *fleet) startImport(t *testing.T, id string) (*redisstate.Import, error) {
	return redisstate.StartImport(t.Context(), f.url, id, f.options(), told(t, ""))
}

// fill imports what give gives.
func (f *fleet) fill(t *testing.T, id string, users int) {
	t.Helper()
	i, err := f.startImport(t, id)
	must(t, err)
	must(t, give(t.Context(), i, id, users))
	must(t, i.Finish(t.Context()))
	must(t, i.Close())
}

// wantContent opens the store, which must be there, and compares what it exports.
func (f *fleet) wantContent(t *testing.T, what string, want []string) {
	t.Helper()
	s, err := redisstate.Open(t.Context(), f.url, f.options())
	must(t, err)
	defer s.Close()
	var l list
	must(t, s.Export(t.Context(), &l, told(t, "")))
	slices.Sort(l.all)
	if !slices.Equal(l.all, want) {
		t.Fatalf("%s: the store has\n%.3000q\nwant\n%.3000q", what, l.all, want)
	}
}

// On all kinds: an import is given up, another one clears away what it has left, and a third is refused.
func TestImport(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f := k.start(t)
			i, err := f.startImport(t, "GIVENUP")
			must(t, err)
			must(t, give(t.Context(), i, "givenup", 40))
			must(t, i.Close())
			if _, err := redisstate.Open(t.Context(), f.url, f.options()); !errors.Is(err, state.ErrUnfinished) {
				t.Errorf("opened: %v", err)
			}
			f.fill(t, "WHOLE", 20)
			want := given(t, "WHOLE", 20)
			f.wantContent(t, "whole", want)
			if _, err := f.startImport(t, "MORE"); !errors.Is(err, state.ErrNotEmpty) {
				t.Errorf("imported into a store with users: %v", err)
			}
			f.wantContent(t, "after what was refused", want)
			for _, k := range f.keys(t) {
				if strings.Contains(k, "givenup") {
					t.Errorf("%s is left of the import that was given up", k)
				}
			}
		})
	}
}

// mortal ends the process, as it were, with a request: it or its reply is lost, and nothing is sent any more.
type mortal struct {
	left    atomic.Int32 // requests
	replies bool         // the last one is sent, and its reply lost
}

func (m *mortal) through(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if m.left.Load() < 0 {
			return nil, io.ErrClosedPipe
		}
		conn, err := dial(ctx, network, addr)
		return &mortalConn{conn, m}, err
	}
}

type mortalConn struct {
	net.Conn
	of *mortal
}

func (c *mortalConn) Write(b []byte) (int, error) {
	left := c.of.left.Add(-1)
	if left >= 0 {
		return c.Conn.Write(b)
	}
	if left == -1 && c.of.replies {
		if _, err := c.Conn.Write(b); err == nil {
			c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // if that was a part of a request, there is no reply
			c.Conn.Read(make([]byte, 1))
		}
	}
	return 0, io.ErrClosedPipe
}

// TestImportDies lets the process die at each of its requests, in a new Redis and in one that another import has left. What is there afterwards is no
// store, or the whole one (I7); and the next import makes it the one that it has read.
func TestImportDies(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	ways := map[string]int{}
	for _, way := range []struct{ left, replies bool }{{false, true}, {true, false}} {
		for n, through := 0, false; !through; n++ {
			f.empty(t)
			if way.left {
				i, err := f.startImport(t, "LEFT")
				must(t, err)
				must(t, give(t.Context(), i, "left", 4))
				must(t, i.Close())
			}
			m := &mortal{replies: way.replies}
			m.left.Store(int32(n))
			through = f.dies(t, m)
			s, err := redisstate.Open(t.Context(), f.url, f.options())
			switch {
			case err == nil:
				must(t, s.Close())
				ways["whole"]++
				f.wantContent(t, fmt.Sprint("died at request ", n), given(t, "DIES", 2))
				continue
			case errors.Is(err, state.ErrAbsent) && !way.left:
				ways["absent"]++
			case errors.Is(err, state.ErrUnfinished):
				ways["unfinished"]++
			default:
				t.Fatalf("died at request %d: %v", n, err)
			}
			f.fill(t, "NEXT", 3)
			f.wantContent(t, fmt.Sprint("after request ", n), given(t, "NEXT", 3))
		}
	}
	t.Logf("left behind: %v", ways)
	if ways["whole"] < 4 || ways["absent"] < 4 || ways["unfinished"] < 25 {
		t.Error("that is less than there is to try")
	}
}

// dies imports through m, and reports whether it came through.
func (f *fleet) dies(t *testing.T, m *mortal) bool {
	t.Helper()
	i, err := redisstate.StartImportThrough(t.Context(), f.url, "DIES", f.options(), m.through)
	if err == nil {
		err = give(t.Context(), i, "DIES", 2)
	}
	if err == nil {
		err = i.Finish(t.Context())
	}
	i.Close()
	return err == nil
}

// A server that loses what it had confirmed, as one without an append-only file does, makes no store with gaps of an import.
func TestImportLoses(t *testing.T) {
	t.Parallel()
	testbed.Need(t, "redis-server")
	r, err := testbed.ForTest(t).Redis(testbed.RedisOptions{})
	must(t, err)
	f := &fleet{url: r.URL(), servers: []*testbed.Redis{r}}
	for _, after := range []int{0, 4} { // users who come when it is back
		f.empty(t)
		i, err := redisstate.StartImportThrough(t.Context(), f.url, "STORE", f.options(), (&lossy{}).through)
		must(t, err)
		must(t, give(t.Context(), i, "a", 4))
		_, err = r.Do("SAVE")
		must(t, err)
		must(t, give(t.Context(), i, "b", 4))
		must(t, r.Kill())
		must(t, r.Start())
		if err = give(t.Context(), i, "c", after); err == nil {
			err = i.Finish(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "import again") {
			t.Errorf("finished an import with a gap: %v", err)
		}
		must(t, i.Close())
		if _, err := redisstate.Open(t.Context(), f.url, f.options()); !errors.Is(err, state.ErrUnfinished) {
			t.Errorf("opened: %v", err)
		}
	}
	f.fill(t, "STORE", 8)
	f.wantContent(t, "again", given(t, "STORE", 8))
}

// Of two imports at once the one that began last becomes the store, and the other is told.
func TestImportTwoAtOnce(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	one, err := f.startImport(t, "ONE")
	must(t, err)
	must(t, give(t.Context(), one, "one", 40))
	two, err := f.startImport(t, "TWO")
	must(t, err)
	if err = give(t.Context(), one, "one again", 40); err == nil {
		err = one.Finish(t.Context())
	}
	if err == nil || !strings.Contains(err.Error(), "another import has begun") {
		t.Errorf("the first: %v", err)
	}
	must(t, give(t.Context(), two, "TWO", 8))
	must(t, two.Finish(t.Context()))
	must(t, errors.Join(one.Close(), two.Close()))
	f.wantContent(t, "the second", given(t, "TWO", 8))
}

// TestImportBeneath imports the backup of a Redis that was emptied beneath a running process. Until it is whole, that process takes nobody for a new
// user, works on nobody, and has no node (I3, I7); then it goes on.
func TestImportBeneath(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s := f.open(t)
	ctx := t.Context()
	f.empty(t)
	i, err := f.startImport(t, s.ID())
	must(t, err)
	must(t, give(ctx, i, "u", 40)) // pending, copying …
	for what, do := range map[string]func() error{
		"get": func() error { _, err := s.Get(ctx, "nobody"); return err }, "get one who is there": func() error { _, err := s.Get(ctx, "u0"); return err },
		"offer": func() error { _, err := s.Offer(ctx, "nobody"); return err }, "due": func() error { _, err := s.Due(ctx, 9); return err },
		"join": func() error { _, err := s.Join(ctx, "n", time.Hour); return err },
	} {
		if err := do(); !errors.Is(err, state.ErrReplaced) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, i.Finish(ctx))
	must(t, i.Close())
	if due, err := s.Due(ctx, 99); err != nil || len(due) == 0 {
		t.Errorf("when it is whole, due are %q, %v", due, err)
	}
	_, err = s.Join(ctx, "n", time.Hour)
	must(t, err)
}

// markWord is the mark of an import.
var markWord = regexp.MustCompile(`import:\w{26}`)

// A store is not empty either if a node lives on it, or if it has a claim alone; and what was refused changes nothing.
func TestImportNotEmpty(t *testing.T) {
	t.Parallel()
	f := startStandalone(t)
	s := f.open(t)
	ctx := t.Context()
	n, err := s.Join(ctx, "n", time.Hour)
	must(t, err)
	_, err = redisstate.StartImport(ctx, f.url, "STORE", f.options(), func(string, time.Duration) { must(t, s.Beat(ctx, n, time.Hour)) })
	if alive := new(state.Alive); !errors.As(err, &alive) || alive.Node != "n" {
		t.Errorf("imported beneath a node: %v", err)
	}
	must(t, s.Beat(ctx, n, time.Hour))
	must(t, s.Leave(ctx, n))

	joins := &lossy{} // at the moment at which the import takes the store
	joins.tell(func(request string) {
		if n.Name == "n" && markWord.MatchString(request) {
			n, err = s.Join(ctx, "m", time.Hour)
			must(t, err)
		}
	})
	i, refused := redisstate.StartImportThrough(ctx, f.url, "STORE", f.options(), joins.through)
	if !errors.Is(refused, state.ErrNotEmpty) || n.Name != "m" {
		t.Errorf("imported beneath node %s, which had just joined: %v", n.Name, refused)
	}
	must(t, i.Close())
	must(t, s.Beat(ctx, n, time.Hour))
	must(t, s.Leave(ctx, n))

	_, err = s.Claim(ctx, "alice", []string{"t"})
	must(t, err)
	if _, err = f.startImport(t, "STORE"); !errors.Is(err, state.ErrNotEmpty) {
		t.Errorf("imported into a store with a claim: %v", err)
	}
	_, err = s.Offer(ctx, "alice")
	must(t, err)
}

// A user who comes twice is refused: the indexes would have him twice.
func TestImportTwice(t *testing.T) {
	t.Parallel()
	i, err := startStandalone(t).startImport(t, "STORE")
	must(t, err)
	defer i.Close()
	for range 2 {
		must(t, i.User(t.Context(), state.Kept{Record: state.Record{User: "alice", Phase: state.Held}}))
	}
	if err := i.Finish(t.Context()); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("the same user again: %v", err)
	}
}

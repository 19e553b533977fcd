package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// touched waits until the node tells of user what want says.
func (b *bed) touched(user, want string) error {
	var got string
	err := until(func() bool {
		got = told(b.srv.node.touches.list(user))
		return got == want
	})
	if err != nil {
		return fmt.Errorf("touched is %q", got)
	}
	return nil
}

// told is list as a transcript says it.
func told(list []state.Touched) string {
	var words []string
	for _, t := range list {
		word := t.Folder
		if word == "" || strings.ContainsAny(word, " \"") {
			word = fmt.Sprintf("%q", word)
		}
		if t.UID != 0 {
			word += fmt.Sprintf("=%d/%d", t.UIDValidity, t.UID)
		}
		if t.Gone {
			word += "-"
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// What a client has changed is told for as long as a source may take to show it everywhere, and no longer: many users pass by.
func TestTouchesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTouches()
		alice, bob := ts.by("alice"), ts.by("bob")
		alice(func(t touched) { t.promise("Sent", 7, 3) })
		time.Sleep(touchMemory - time.Second)
		bob(func(t touched) { t.change("INBOX") })
		ts.turn()
		if list := ts.list("alice"); told(list) != "Sent=7/3" || list[0].Age != touchMemory-time.Second {
			t.Errorf("told %v", list)
		}
		time.Sleep(2 * time.Second)
		ts.turn()
		if a, b := told(ts.list("alice")), told(ts.list("bob")); a != "" || b != "INBOX" {
			t.Errorf("after the memory is over alice has %q, bob %q", a, b)
		}
		bob(func(t touched) { t.change("Trash") })
		time.Sleep(touchMemory - time.Second)
		ts.turn()
		if b := told(ts.list("bob")); b != "Trash" {
			t.Errorf("bob has %q", b)
		}
		for range 2 {
			time.Sleep(touchMemory + time.Second)
			ts.turn()
		}
		if n := len(ts.recent) + len(ts.before); n != 0 {
			t.Errorf("%d users are kept for ever", n)
		}
	})
}

// A client that changes more folders than are kept apart makes the worker look at all of them, and costs no more memory (I9).
func TestTouchesBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTouches()
		ts.by("alice")(func(t touched) {
			for i := range 3 * state.MaxTouched {
				t.promise(fmt.Sprint("f", i), 1, 5)
			}
			t.change(strings.Repeat("x", state.MaxFolder+1))
			t.remove("unknown")
		})
		list := ts.list("alice")
		if err := state.CheckTouched(list); err != nil || len(list) != state.MaxTouched {
			t.Errorf("%d told, %v", len(list), err)
		}
		rest := slices.IndexFunc(list, func(t state.Touched) bool { return t.Folder == "" })
		if rest < 0 || list[rest].UID != 5 || list[rest].Gone {
			t.Errorf("what is not kept apart is told as %v", list[max(rest, 0)])
		}
		time.Sleep(touchMemory + time.Second)
		ts.by("alice")(func(t touched) { t.change("new") })
		if got := told(ts.list("alice")); got != "new" {
			t.Errorf("after a while %q", got)
		}
	})
}

func TestTouchesRename(t *testing.T) {
	tests := []struct{ before, from, to, want string }{
		{"a a/b=1/2 a.c=1/3 ab=1/4", "a", "z", "a- a.c- a/b- ab=1/4 z z.c=1/3 z/b=1/2"},
		{"INBOX=1/2 INBOX/b=1/3", "inbox", "old", "INBOX/b=1/3 INBOX=1/2 old"},
		{"z=1/9 a=2/4", "a", "z", "a- z=2/4"},
		{"z=1/9", "a", "z", "a- z"},
		{"", "a", "b", "a- b"},
		{"a=2/4 a=1/9 a=2/3", "b", "c", "a=2/4 b- c"},
	}
	for _, tt := range tests {
		ts := newTouches()
		ts.by("u")(func(t touched) {
			for _, word := range strings.Fields(tt.before) {
				name, promise, ok := strings.Cut(word, "=")
				if !ok {
					t.change(name)
					continue
				}
				var v, uid uint32
				fmt.Sscanf(promise, "%d/%d", &v, &uid)
				t.promise(name, v, uid)
			}
			t.rename(tt.from, tt.to)
		})
		if got := told(ts.list("u")); got != tt.want {
			t.Errorf("%q, %s renamed to %s: %q; want %q", tt.before, tt.from, tt.to, got, tt.want)
		}
	}
}

func TestMarksSeen(t *testing.T) {
	for line, want := range map[string]bool{
		"a FETCH 1 BODY[]\r\n": true, "a fetch 1:9 (uid body[1.2]<0.5>)\r\n": true, "a FETCH 1 RFC822\r\n": true, "a FETCH 1 RFC822.TEXT\r\n": true,
		"a UID FETCH 1 BINARY[1]\r\n": true, "a FETCH 1 (BODY.PEEK[HEADER.FIELDS (X)] RFC822.SIZE BODY[1])\r\n": true,
		"a FETCH 1 (FLAGS BODY.PEEK[] RFC822.SIZE)\r\n": false, "a FETCH 1 FULL\r\n": false, "a FETCH 1 BODY\r\n": false, "a FETCH 1 RFC822.HEADER\r\n": false,
		"a FETCH 1 BINARY.PEEK[1]\r\n": false, "a FETCH 1 BINARY.SIZE[1]\r\n": false, "a FETCH 1 BODY.PEEK[HEADER.FIELDS ({1}\r\n": true, "a FETCH 1 FLAGS": true,
	} {
		if got := marksSeen(wire.Upper([]byte(line)), line[len(line)-1] == '\n'); got != want {
			t.Errorf("marksSeen(%q) = %v", line, got)
		}
	}
}

func TestPromiseIn(t *testing.T) {
	long := " OK [COPYUID 7 1 1:5,"
	for line, want := range map[string][2]uint32{
		"a OK [APPENDUID 7 12] done":                     {7, 12},
		"a ok [appenduid 7 12:14,16] done":               {7, 16},
		"* OK [COPYUID 7 1,5,9 3:5] moved":               {7, 5},
		"a OK [COPYUID 7 1 5:3] done":                    {7, 5},
		"a OK [COPYUID 7  ] nothing":                     {},
		"a NO [APPENDUID 7 12] no":                       {},
		"a OK [UIDNEXT 7] x":                             {},
		"a OK [APPENDUID 7] x":                           {},
		"a OK [APPENDUID seven 1] x":                     {},
		"a OK [APPENDUID 7 0] x":                         {},
		"a OK APPENDUID 7 1":                             {},
		"a OK see [APPENDUID 7 1]":                       {},
		"a" + long + strings.Repeat("9,", maxGather/2):   {7, 1<<32 - 1},
		strings.Repeat("a", maxTag) + long + "7:9] done": {7, 9},
		"": {},
	} {
		if v, uid := promiseIn([]byte(line)); v != want[0] || uid != want[1] {
			t.Errorf("promiseIn(%.60q) = %d %d; want %v", line, v, uid, want)
		}
	}
}

// The acknowledgement of a hold tells what clients have changed, also in the command that the hold has waited for
// (I1). It is told again to the next attempt, and forgotten with the switch.
func TestHoldTellsTouched(t *testing.T) {
	b := newBed(t)
	logIn(t, b)
	steps(t, b, "C: b COPY 1 Work\nP: b COPY 1 Work\nB: b OK [COPYUID 5 1 7] copied\nS: b OK [COPYUID 5 1 7] copied\n"+
		"C: c APPEND INBOX {3+}\nC: abc\nP: c APPEND INBOX {3}\nB: + go on\nP: abc")
	attempt := func(id string, end state.Phase, want string) {
		t.Helper()
		must(t, "acknowledged", func() bool { return b.store.acknowledged(id) })
		b.store.mu.Lock()
		got := told(b.store.touched)
		b.store.mu.Unlock()
		if got != want {
			t.Errorf("the acknowledgement tells %q; want %q", got, want)
		}
		b.store.finish("alice", end)
	}
	b.store.begin("alice", "t1", longBudget)
	must(t, "held", func() bool { return b.held("alice") })
	steps(t, b, "B: c OK [APPENDUID 6 8] done\nS: c OK [APPENDUID 6 8] done")
	attempt("t1", state.Tailing, "INBOX=6/8 Work=5/7")
	must(t, "over", func() bool { return !b.held("alice") })
	steps(t, b, "C!\nP!\nS!")
	b.store.begin("alice", "t2", longBudget)
	attempt("t2", state.Migrated, "INBOX=6/8 Work=5/7")
	must(t, "forgotten", func() bool { return len(b.srv.node.touches.list("alice")) == 0 })
}

// Moving many messages with gaps between their UIDs is answered by a line that no buffer holds whole. It reaches the
// client as it is, and its last UID is noted.
func TestTouchedLongPromise(t *testing.T) {
	for _, copied := range []int{4000, 12000} {
		b := newBed(t)
		logIn(t, b)
		var set strings.Builder
		for i := range copied {
			fmt.Fprintf(&set, "%d,", 100000+2*i)
		}
		line := fmt.Sprintf("b OK [COPYUID 5 %s900000 1:%d] copied", set.String(), copied+1)
		want := fmt.Sprintf("Work=5/%d", copied+1)
		if len(line) > maxGather {
			want = "Work=5/4294967295" // not to be found at the source: the worker has to wait
		}
		steps(t, b, "C: b COPY 1:* Work\nP: b COPY 1:* Work\nB: "+line+"\nS: "+line)
		if err := b.touched("alice", want); err != nil {
			t.Errorf("%d messages: %v", copied, err)
		}
	}
}

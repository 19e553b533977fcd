package migrate

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// TestFlagsSame: case and order do not count (RFC 9051, 2.3.2), everything else does.
func TestFlagsSame(t *testing.T) {
	for _, c := range []struct {
		a, b flags
		same bool
	}{
		{"", "", true}, {`\Seen`, "", false}, {`\Seen $A`, `$a \SEEN`, true}, {"Foo foo", "foo", true}, {"a b", "a c", false}, {"NIL", "", false},
	} {
		if c.a.same(c.b) != c.same || c.b.same(c.a) != c.same {
			t.Errorf("%q same as %q: want %v", c.a, c.b, c.same)
		}
	}
}

func TestCompare(t *testing.T) {
	at := time.Unix(1e9, 0)
	src := listing{{uid: 1, date: at, flags: "a"}, {uid: 2, date: at}, {uid: 4, date: at}, {uid: 9, date: at}}
	dst := listing{{uid: 1, date: at, flags: "b"}, {uid: 3, date: at}, {uid: 4, date: at.Add(time.Second)}}
	d := compare(src, dst, 5)
	want := difference{missing: wire.Set{{From: 2, To: 2}}, extra: wire.Set{{From: 3, To: 3}}, dates: wire.Set{{From: 4, To: 4}},
		flags: map[flags]wire.Set{"a": {{From: 1, To: 1}}}}
	if !reflect.DeepEqual(d, want) || d.size() != 4 || d.empty() {
		t.Errorf("compare: %+v, want %+v", d, want)
	}
}

// TestNote: what a note tells survives the store, and explains the engine's own messages alone (I4).
func TestNote(t *testing.T) {
	n := note{Done: 10, Intent: []intent{{12, 100, 7}, {13, 200, 8}}, Dirty: true, Given: true, Drop: true, Bodies: 3}
	got, err := readNote(state.Folder{Engine: n.bytes()})
	if err != nil || !reflect.DeepEqual(got, n) {
		t.Fatalf("round trip: %+v, %v", got, err)
	}
	for _, c := range []struct {
		m    message
		ours bool
	}{
		{message{uid: 9}, true}, {message{uid: 12, date: time.Unix(100, 0), size: 7}, true}, {message{uid: 12, date: time.Unix(100, 0), size: 6}, false},
		{message{uid: 13, date: time.Unix(100, 0), size: 8}, false}, {message{uid: 11, date: placeholderTime, size: int64(len(placeholder))}, true},
		{message{uid: 11, date: time.Unix(100, 0), size: 7}, false}, {message{uid: 16, date: time.Unix(100, 0), size: 7}, false}, {message{uid: 90}, false},
	} {
		if n.explains(&c.m) != c.ours {
			t.Errorf("explains %+v: want %v", c.m, c.ours)
		}
	}
}

// TestNoteLoose: of messages that come one by one, those that have come to other UIDs than they were due are ours as well, and one that may
// be another one is in doubt (I1, I4).
func TestNoteLoose(t *testing.T) {
	n := note{Done: 10, Intent: []intent{{10, 100, 7}, {12, 200, 8}, {13, 200, 8}, {14, 300, 9}}, Loose: true}
	again := note{Done: 10, Intent: n.Intent}
	for _, c := range []struct {
		uid                                 uint32
		date, size                          int64
		explained, strayed, doubtful, again bool
	}{
		{10, 100, 7, true, true, false, false},
		{12, 200, 8, true, true, true, false}, // it may be 13
		{13, 200, 8, true, true, false, false},
		{13, 300, 9, false, true, false, false},
		{15, 100, 7, false, true, false, true},
		{15, 300, 9, false, true, false, false},
		{16, placeholderTime.Unix(), int64(len(placeholder)), false, true, false, true},
		{10, 100, 8, false, false, false, false},
		{15, 1, 1, false, false, false, false},
		{9, 200, 8, true, true, false, false},
	} {
		m := &message{uid: c.uid, date: time.Unix(c.date, 0), size: c.size}
		if n.explains(m) != c.explained || n.strayed(m) != c.strayed || c.explained && n.doubts(m) != c.doubtful || again.strayed(m) != c.again {
			t.Errorf("%+v: explained %v, strayed %v, doubtful %v, of a batch that came again %v; want %+v", m, n.explains(m), n.strayed(m), n.doubts(m), again.strayed(m), c)
		}
	}
}

func TestBackoff(t *testing.T) {
	for attempts, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 20: maxRetry, 1 << 40: maxRetry} {
		if got := usualPace.backoff(attempts, maxRetry); got != want {
			t.Errorf("backoff(%d) = %s, want %s", attempts, got, want)
		}
	}
}

// TestDoveadmAnswers: each answer becomes an error that says what is wrong, and none waits or fills memory (I9).
func TestDoveadmAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		`[["doveadmResponse",[],"f"]]`:                      "",
		`[["error",{"type":"exitCode","exitCode":67},"f"]]`: "does not know the user",
		`[["error",{"type":"exitCode","exitCode":68},"f"]]`: "no such folder",
		`[["error",{"type":"exitCode","exitCode":75},"f"]]`: "exit code 75",
		`[["error",{"type":"unknownMethod"},"f"]]`:          "unknownMethod",
		`[]`: "0 answers", `<html>`: "read answer", ``: "read answer", "401": "doveadm_api_key", "500": "HTTP 500", "drop": "EOF",
		`[["x","` + strings.Repeat("a", doveadmAnswer) + `"]]`: "unexpected EOF",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch answer {
			case "401":
				w.WriteHeader(401)
			case "500":
				w.WriteHeader(500)
			case "drop":
				panic(http.ErrAbortHandler)
			default:
				_, _ = io.WriteString(w, answer)
			}
		}))
		srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		d, err := newDovecotAdapter(srv.URL, "key")
		if err != nil {
			t.Fatal(err)
		}
		err = d.setUIDValidity(t.Context(), &client{}, "alice", []*mailbox{{name: "INBOX", status: status{uidValidity: 7}}})
		if (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%.60q: %v, want %q", answer, err, want)
		}
		d.http.CloseIdleConnections()
		srv.Close()
	}
}

// TestDueBehindOthers: users who may not be migrated stay due, and do not hide those who may.
func TestDueBehindOthers(t *testing.T) {
	e := &Engine{cfg: Config{Settings: Settings{Only: []string{"alice"}}, Store: manyDue{}, Log: slog.New(slog.DiscardHandler)}}
	if got := e.due(t.Context()); !reflect.DeepEqual(got, []string{"alice"}) {
		t.Errorf("due: %q", got)
	}
}

type manyDue struct{ Store }

func (manyDue) Due(_ context.Context, limit int) ([]string, error) {
	var all []string
	for i := range 500 {
		all = append(all, fmt.Sprintf("bob%d", i))
	}
	all = append(all, "alice")
	return all[:min(limit, len(all))], nil
}

// TestNoteKeys writes and reads a note with everything in it: of two parts with one key, one was lost without a word.
func TestNoteKeys(t *testing.T) {
	want := note{
		Done: 1, Intent: []intent{{2, 3, 4}}, Gap: 5, Loose: true, Astray: true, Wary: 6, Dirty: true, Messages: 7, ModSeq: 8,
		Given: true, Drop: true, Make: true, Shell: true, Bodies: 9,
		carried: carried{Rights: marks{10}, Entries: marks{11}, Account: marks{12}},
		Late:    &late{UIDValidity: 13},
	}
	for i, v := 0, reflect.ValueOf(want); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not tried", v.Type().Field(i).Name)
		}
	}
	got, err := readNote(noted(state.Folder{}, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v (%v)", got, want, err)
	}
}

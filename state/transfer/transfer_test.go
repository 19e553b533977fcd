package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"imapferry/state"
	"imapferry/state/transfer"
)

// sink takes everything.
type sink struct{}

func (sink) Journal(context.Context, string, bool) error      { return nil }
func (sink) User(context.Context, state.Kept) error           { return nil }
func (sink) Folder(context.Context, state.Folder) error       { return nil }
func (sink) Exception(context.Context, state.Exception) error { return nil }
func (sink) Claim(context.Context, string, string) error      { return nil }

func read(lines []byte) error {
	r, err := transfer.NewReader(bytes.NewReader(lines))
	if err != nil {
		return err
	}
	_, err = r.Into(context.Background(), sink{})
	return err
}

// What was cut short at any byte, or changed at any, is refused: nobody takes a part for the whole (I7).
func TestGarbled(t *testing.T) {
	lines := sample(t, "STORE", 1)
	must(t, read(lines))
	must(t, read(lines[:len(lines)-1])) // the last line's end may be missing
	for n := range len(lines) - 1 {
		if err := read(lines[:n]); err == nil {
			t.Fatalf("%d bytes of %d were taken", n, len(lines))
		}
		changed := bytes.Clone(lines)
		changed[n] ^= 1
		if err := read(changed); err == nil {
			t.Fatalf("taken with byte %d changed in %.60q", n, changed[max(0, n-30):])
		}
	}
	all := bytes.SplitAfter(lines, []byte("\n"))
	for n := range len(all) - 2 {
		if err := read(bytes.Join(append(append([][]byte{}, all[:n]...), all[n+1:]...), nil)); err == nil {
			t.Fatalf("taken without line %d", n+1)
		}
	}
	if err := read(append(bytes.Clone(lines), lines...)); err == nil {
		t.Error("taken twice over")
	}
}

// What cannot be is refused in words that name the line and what is wrong (I9).
func TestReadRefuses(t *testing.T) {
	const head = `{"imapferry":"state","form":1,"store":"S"}` + "\n"
	for _, c := range []struct{ lines, says string }{
		{"", "no state that imapferry has exported"},
		{"hello\n", "no state that imapferry has exported"},
		{"{}\n", "no state that imapferry has exported"},
		{strings.Repeat("x", 2<<20), "no state that imapferry has exported"},
		{`{"imapferry":"state","form":2,"store":"S"}`, "form 2 and this version of imapferry takes 1"},
		{`{"imapferry":"state","form":1,"store":""}`, "id is empty"},
		{head, "line 2: the last line is missing"},
		{head + "null\n", "line 2: nothing stands in it"},
		{head + `{"journal":{"node":""}}`, "line 2: node is empty"},
		{head + `{"user":{"user":"a","phase":"gone"}}`, `line 2: unknown phase "gone"`},
		{head + `{"user":{"user":"a"}}`, "line 2: a is in phase 0"},
		{head + `{"user":{"user":"a\u0000","phase":"held"}}`, "line 2: user has a control character"},
		{head + `{"user":{"user":"a","phase":"held","new":1}}`, `line 2: json: unknown field "new"`},
		{head + `{"user":{"user":"a","phase":"held","owner":"w"}}`, "line 2: a is leased"},
		{head + `{"user":{"user":"a","phase":"held","committing":true}}`, "line 2: a is held by attempt"},
		{head + `{"user":{"user":"a","phase":"cutover"}}`, "line 2: a is cutover by attempt"},
		{head + `{"user":{"user":"a","phase":"held","fidelity":"none"}}`, `line 2: fidelity "none"`},
		{head + `{"user":{"user":"a","phase":"held","exception_classes":{"A":1}}}`, `line 2: exception's class "A"`},
		{head + `{"folder":{"name":"YQ==","packed":""}}`, "line 2: no user stands before it"},
		{head + `{"user":{"user":"a","phase":"held"}}` + "\n" + `{"folder":{"name":"YQ==","packed":""}}`, "line 3: folder is stored in a form"},
		{head + `{"user":{"user":"a","phase":"held"}}` + "\n" + `{"exception":{"key":"YQ==","packed":{}}}`, "line 3: read exception"},
		{head + `{"claim":{"token":"","user":"a"}}`, "line 2: token of 0 bytes"},
		{head + `{"claim":{"token":"YQ==","user":""}}`, "line 2: user is empty"},
		{head + strings.Repeat("x", 2<<20), "line 2: bufio.Scanner: token too long"},
	} {
		if err := read([]byte(c.lines)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.200q: %v, want %q", c.lines, err, c.says)
		}
	}
}

// failing takes so many bytes.
type failing int

var errFull = errors.New("the disk is full")

func (f *failing) Write(b []byte) (int, error) {
	if *f -= failing(len(b)); *f < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// A disk that is full is told, whenever it is.
func TestWriteFails(t *testing.T) {
	lines := sample(t, "STORE", 100)
	for _, n := range []int{0, len(lines) / 2, len(lines) - 1} {
		out := failing(n)
		w, err := transfer.NewWriter(&out, "STORE")
		must(t, err)
		r, err := transfer.NewReader(bytes.NewReader(lines))
		must(t, err)
		_, err = r.Into(t.Context(), w)
		if err == nil {
			_, err = w.Finish()
		}
		if !errors.Is(err, errFull) {
			t.Errorf("with room for %d bytes: %v", n, err)
		}
	}
}

// No input makes a reader panic or hang (I9).
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"imapferry":"state","form":1,"store":"S"}` + "\n" + `{"user":{"user":"a","phase":"held","since":"2030-01-01T00:00:00Z"}}` + "\n" + `{"claim":{"token":"YQ==","user":"a"}}`))
	f.Fuzz(func(t *testing.T, lines []byte) {
		_ = read(lines)
	})
}

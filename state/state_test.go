package state_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"imapferry/state"
)

func TestPhaseText(t *testing.T) {
	for i, p := range state.Phases {
		if int(p) != i+1 {
			t.Errorf("phase %v has number %d, want %d: stores keep the number", p, p, i+1)
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q state.Phase
		if err := json.Unmarshal(b, &q); err != nil || q != p {
			t.Errorf("%v became %v in JSON, %v", p, q, err)
		}
	}
	for _, s := range []string{"", "Pending", "moved", "phase(3)"} {
		if p, err := state.ParsePhase(s); err == nil {
			t.Errorf("ParsePhase(%q) = %v", s, p)
		}
	}
}

func TestCutReason(t *testing.T) {
	for _, c := range []struct{ reason, want string }{
		{"", ""},
		{"over quota", "over quota"},
		{strings.Repeat("a", state.MaxReason), strings.Repeat("a", state.MaxReason)},
		{strings.Repeat("a", state.MaxReason+1), strings.Repeat("a", state.MaxReason-3) + "…"},
		{strings.Repeat("é", state.MaxReason), strings.Repeat("é", (state.MaxReason-3)/2) + "…"},
		{"bad \xff byte", "bad \uFFFD byte"},
	} {
		got := state.CutReason(c.reason)
		if got != c.want || !utf8.ValidString(got) {
			t.Errorf("CutReason(%.20q) = %.20q of %d bytes, want %.20q of %d", c.reason, got, len(got), c.want, len(c.want))
		}
	}
}

// What a newer or broken version wrote is an error, never another folder.
func TestUnpackFolder(t *testing.T) {
	whole := state.Folder{Name: "INBOX", Target: "in", UIDNext: 5, Skipped: []state.Gap{{From: 2, To: 3}}, Engine: []byte("x")}.Pack()
	for i := range len(whole) - 1 {
		if _, err := state.UnpackFolder("INBOX", whole[:i]); err == nil {
			t.Errorf("%d of %d bytes were taken for a folder", i, len(whole))
		}
	}
	whole[0]++
	if _, err := state.UnpackFolder("INBOX", whole); err == nil {
		t.Error("another form was taken for this one")
	}
}

func TestSkip(t *testing.T) {
	tests := []struct{ gaps, want []state.Gap }{
		{[]state.Gap{{5, 9}}, []state.Gap{{5, 9}}},
		{[]state.Gap{{5, 9}, {5, 9}}, []state.Gap{{5, 9}}},
		{[]state.Gap{{5, 9}, {5, 20}}, []state.Gap{{5, 20}}},
		{[]state.Gap{{50, 90}, {1, 9}, {20, 30}}, []state.Gap{{1, 9}, {20, 30}, {50, 90}}},
		{[]state.Gap{{5, 9}, {20, 30}, {8, 25}}, []state.Gap{{5, 30}}},
	}
	for _, tt := range tests {
		var f state.Folder
		for _, g := range tt.gaps {
			before := f
			if !f.Skip(g.From, g.To) {
				t.Errorf("%v: no room", tt.gaps)
			}
			if len(before.Skipped) > 0 && &before.Skipped[0] == &f.Skipped[0] {
				t.Errorf("%v: a copy of the folder changes with it", tt.gaps)
			}
		}
		if !slices.Equal(f.Skipped, tt.want) {
			t.Errorf("%v: %v, want %v", tt.gaps, f.Skipped, tt.want)
		}
	}
	full := state.Folder{Skipped: make([]state.Gap, state.MaxSkipped)}
	if full.Skip(5, 9) {
		t.Error("there is room for more than the limit")
	}
}

func TestUnpackTouched(t *testing.T) {
	whole := state.PackTouched([]state.Touched{{Folder: "INBOX", Age: 300, UID: 5}})
	for i := range len(whole) - 1 {
		if list, err := state.UnpackTouched(whole[:i]); err == nil && i != 1 { // the form alone is an empty list
			t.Errorf("%d of %d bytes were taken for %v", i, len(whole), list)
		}
	}
	whole[0]++
	if _, err := state.UnpackTouched(whole); err == nil {
		t.Error("another form was taken for this one")
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"alice@a.example": true, "ü": true, " ": true, strings.Repeat("a", state.MaxUser): true,
		"": false, strings.Repeat("a", state.MaxUser+1): false, "a\x00": false, "a\u009f": false, "\xc3": false,
	} {
		if err := state.CheckName("user", name); (err == nil) != ok || (err != nil && !errors.Is(err, state.ErrInvalid)) {
			t.Errorf("CheckName(%.10q) = %v", name, err)
		}
	}
}

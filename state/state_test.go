package state_test

import (
	"encoding/json"
	"errors"
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
	whole := state.Folder{Name: "INBOX", UIDNext: 5, Engine: []byte("x")}.Pack()
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

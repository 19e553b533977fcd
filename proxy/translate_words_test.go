package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"imapferry/internal/wire"
	"imapferry/state"
)

// scan takes whole lines apart, of which the literals have been left out. Each line comes in two parts, cut at cut.
func scan(lines []string, sections bool, cut int) (words []string) {
	s := scanner{sections: sections, each: func(w word) {
		words = append(words, fmt.Sprint(w.depth, [...]string{w.text, "STRING", "LITERAL", "(", ")"}[w.kind]))
	}}
	for _, line := range lines {
		n := len(wire.TrimEOL([]byte(line))) // a Reader splits neither line ends nor the markers of literals
		if _, start, ok := wire.ParseLiteral([]byte(line)); ok {
			n = start
		}
		if n = min(cut, n); n > 0 {
			s.line([]byte(line[:n]), false)
			line = line[n:]
		}
		s.line([]byte(line), true)
	}
	return words
}

func TestScanner(t *testing.T) {
	tests := []struct {
		lines    []string
		sections bool
		want     string
	}{
		{[]string{"a SELECT \"in (b\\\" x\" (QRESYNC (1 2))\r\n"}, false, "0a 0SELECT 0STRING 0( 1QRESYNC 1( 21 22 1) 0)"},
		{[]string{"a SELECT {3}\r\n", " (CONDSTORE)\r\n"}, false, "0a 0SELECT 0LITERAL 0( 1CONDSTORE 0)"},
		{[]string{"a STATUS in[box (X)\n"}, false, "0a 0STATUS 0in[box 0( 1X 0)"},
		{[]string{"F 1 (BODY[HEADER.FIELDS (A \"]\")]<0.5> UID)\r\n"}, true, "0F 01 0( 1BODY[<0.5> 1UID 0)"},
		{[]string{"F 1 (BODY[HEADER.FIELDS ({3+}\r\n", " {1}\r\n", ")] UID)\r\n"}, true, "0F 01 0( 1BODY[ 1UID 0)"},
		{[]string{"a)) b \"open\r\n"}, false, "0a 0) 0) 0b 0STRING"},
	}
	for _, tt := range tests {
		for cut := range 40 { // parts end anywhere
			if got := strings.Join(scan(tt.lines, tt.sections, cut), " "); got != tt.want {
				t.Errorf("%q cut at %d = %s; want %s", tt.lines, cut, got, tt.want)
			}
		}
	}
}

// FuzzTranslate takes any line apart and rewrites it in every way: where its parts end makes no difference, only numbers
// change,
// and no ENABLE asks for mod-sequences.
func FuzzTranslate(f *testing.F) {
	addTranscripts(f, func(s string) {
		for line := range strings.Lines(s) {
			f.Add(line, uint8(len(line)/2), true)
		}
	}, "CBD")
	v := newTranslator(fuzzViews)
	f.Fuzz(func(t *testing.T, line string, cut uint8, sections bool) {
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		line += "\r\n"
		whole, parts := scan([]string{line}, sections, 0), scan([]string{line}, sections, int(cut))
		if !slices.Equal(whole, parts) {
			t.Errorf("%q = %q; cut at %d %q", line, whole, cut, parts)
		}
		digits := func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}
		for _, rewrite := range []func([]byte) []byte{v.status, v.esearch, v.urlsToClient, func(b []byte) []byte { return v.urls(b, targetValidity) }} {
			if out := string(rewrite([]byte(line))); strings.Map(digits, out) != strings.Map(digits, line) {
				t.Errorf("%q became %q", line, out)
			}
		}
		if c := parseCommand([]byte(line)); c.name == "ENABLE" {
			left, reply := withoutModSeq(c, []byte(line), true)
			if _, words := wire.Tag(left); reply == "" && asksForModSeq(words) {
				t.Errorf("%q became %q", line, left)
			}
		}
	})
}

// asksForModSeq reports whether words, those of an ENABLE, name what is kept from translated users.
func asksForModSeq(words []byte) bool {
	return slices.ContainsFunc(strings.Fields(string(words)), func(name string) bool {
		return wire.EqualFold(name, "CONDSTORE") || wire.EqualFold(name, "QRESYNC")
	})
}

func TestCommon(t *testing.T) {
	gaps := []state.Gap{{From: 10, To: 20}, {From: 30, To: 40}}
	tests := []struct{ uids, want string }{
		{"", "10:20,30:40"}, {"1:*", "10:20,30:40"}, {"*:15", "15:20,30:40"}, {"*", ""}, {"1:9,21:29", ""}, {"5,20:30,40", "20,30,40"},
		{"35:36,11", "11,35:36"}, {"$", ""}, {"1:x", ""},
	}
	for _, tt := range tests {
		if got := common(gaps, tt.uids).String(); got != tt.want {
			t.Errorf("common(%q) = %s; want %s", tt.uids, got, tt.want)
		}
	}
}

// TestLongSet asks for more UIDs than are kept: all gaps are told, rather than too few.
func TestLongSet(t *testing.T) {
	for _, n := range []int{maxWord - 1, maxWord, 2 * maxWord} {
		o := &watched{name: "UID FETCH", words: 3, resync: &resync{}}
		o.scanner = scanner{each: o.word}
		set := "7" + strings.Repeat(",7", n/2)
		o.line([]byte("a UID FETCH "+set[:n]+" (FLAGS) (CHANGEDSINCE 5 VANISHED)\r\n"), true)
		if q := o.resync; !q.vanished || q.modSeq != 5 || (q.uids == "") != (n >= maxWord) {
			t.Errorf("%d bytes: %v, since %d, %d bytes kept", n, q.vanished, q.modSeq, len(q.uids))
		}
	}
}

func TestViews(t *testing.T) {
	folders := []state.Folder{
		{Name: "a", UIDValidity: 1, TargetUIDValidity: 1},
		{Name: "b", Target: "c", UIDValidity: 2, TargetUIDValidity: 2, Skipped: []state.Gap{{From: 1, To: 2}}},
	}
	tests := []struct {
		fidelity state.Fidelity
		want     string
	}{{state.Translated, "a c"}, {state.Exact, "c"}, {state.Reset, ""}, {"", ""}}
	for _, tt := range tests {
		var names []string
		for name := range views(tt.fidelity, folders) {
			names = append(names, name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.fidelity, got, tt.want)
		}
	}
	if views(state.Exact, folders[:1]) != nil {
		t.Error("an exact user without gaps has a table")
	}
}

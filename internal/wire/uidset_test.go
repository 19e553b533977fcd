package wire

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParseSet(t *testing.T) {
	tests := []struct{ in, want string }{
		{"1", "1"}, {"3:1", "1:3"}, {"1,2,3", "1:3"}, {"5,1:3,4", "1:5"}, {"1:2,9,4:5", "1:2,4:5,9"},
		{"4294967295,1", "1,4294967295"}, {"1:4294967295,7", "1:4294967295"}, {"4294967294:4294967295,4294967295", "4294967294:4294967295"},
	}
	for _, tt := range tests {
		s, err := ParseSet(tt.in)
		if err != nil || s.String() != tt.want {
			t.Errorf("ParseSet(%q) = %s, %v; want %s", tt.in, s, err, tt.want)
		}
	}
	for _, in := range []string{"", "0", "*", "1:*", "1,", ",1", "1:2:3", "a", "-1", "4294967296", "1 2"} {
		if s, err := ParseSet(in); err == nil {
			t.Errorf("ParseSet(%q) = %s; want an error", in, s)
		}
	}
}

func TestSetEnds(t *testing.T) {
	var s Set
	if s.Max() != 0 || s.Len() != 0 || s.Contains(1) || s.String() != "" || len(s.Split(10)) != 0 {
		t.Errorf("the zero Set is not empty: %s", s)
	}
	s.AddRange(1, math.MaxUint32)
	s.Add(5)
	if s.Len() != math.MaxUint32 || s.Max() != math.MaxUint32 || !s.Contains(math.MaxUint32) {
		t.Errorf("Len = %d, Max = %d", s.Len(), s.Max())
	}
	s = Set{{math.MaxUint32 - 1, math.MaxUint32}}
	if got := slices.Collect(s.All()); len(got) != 2 {
		t.Errorf("All = %v", got)
	}
}

// FuzzSet holds a Set against a map.
func FuzzSet(f *testing.F) {
	f.Add([]byte{1, 1, 5, 3, 2, 2, 9, 0, 0, 200})
	f.Add([]byte{9, 1, 5, 1, 7, 0, 5, 4, 1, 20})
	f.Add([]byte{255, 255, 254, 0, 1, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s Set
		model := map[uint32]bool{}
		for i := 0; i+1 < len(ops); i += 2 {
			from, n := uint32(ops[i])+1, uint32(ops[i+1]%16)
			s.AddRange(from, from+n)
			for k := from; k <= from+n; k++ {
				model[k] = true
			}
		}
		checkSet(t, s, model)
	})
}

func checkSet(t *testing.T, s Set, model map[uint32]bool) {
	if int(s.Len()) != len(model) {
		t.Fatalf("Len(%s) = %d; want %d", s, s.Len(), len(model))
	}
	for n := range uint32(300) {
		if s.Contains(n) != model[n] {
			t.Fatalf("Contains(%d) of %s = %v", n, s, s.Contains(n))
		}
	}
	for i, r := range s {
		if r.From > r.To || i > 0 && r.From <= s[i-1].To+1 {
			t.Fatalf("%s is not in its shortest form", s)
		}
	}
	if len(s) == 0 {
		return
	}
	if back, err := ParseSet(s.String()); err != nil || !slices.Equal(back, s) {
		t.Fatalf("ParseSet(%s) = %s, %v", s, back, err)
	}
	var texts []string
	for _, part := range s.Split(20) {
		if texts = append(texts, part.String()); len(part.String()) > 20 {
			t.Fatalf("Split(20) of %s gave %s", s, part)
		}
	}
	if strings.Join(texts, ",") != s.String() {
		t.Fatalf("Split of %s gave %s", s, texts)
	}
}

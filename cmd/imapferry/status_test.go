package main

import (
	"testing"

	"imapferry/state"
)

func TestEnded(t *testing.T) {
	for _, c := range []struct {
		rec  state.Record
		want string
	}{
		{state.Record{}, "0 ended"},
		{state.Record{Disconnected: 1, Ended: map[string]int64{"expunged": 1}}, "1 ended (expunged 1)"},
		{state.Record{Disconnected: 8, Ended: map[string]int64{"a": 2, "view": 3, "b": 2, "other": 1}}, "8 ended (view 3, a 2, b 2, other 1)"},
		{state.Record{Disconnected: 2}, "2 ended"}, // by an older version
	} {
		if got := ended(c.rec); got != c.want {
			t.Errorf("%+v: %q, want %q", c.rec.Ended, got, c.want)
		}
	}
}

package migrate

import (
	"testing"
	"time"
	_ "time/tzdata" // the days on which clocks are changed
)

func TestWindows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const layout = "2006-01-02 15:04:05"
	for _, c := range []struct {
		name    string
		windows []string
		at      string // local
		opens   time.Duration
	}{
		{"none is always", nil, "2026-05-04 12:00:00", 0},
		{"before", []string{"22:00-23:30"}, "2026-05-04 21:59:30", 30 * time.Second},
		{"its first minute", []string{"22:00-23:30"}, "2026-05-04 22:00:00", 0},
		{"its last second", []string{"22:00-23:30"}, "2026-05-04 23:29:59", 0},
		{"after", []string{"22:00-23:30"}, "2026-05-04 23:30:00", 22*time.Hour + 30*time.Minute},
		{"across midnight, before it", []string{"22:00-05:00"}, "2026-05-04 23:59:59", 0},
		{"across midnight, after it", []string{"22:00-05:00"}, "2026-05-05 00:00:00", 0},
		{"across midnight, outside", []string{"22:00-05:00"}, "2026-05-05 05:00:00", 17 * time.Hour},
		{"up to midnight", []string{"20:00-24:00"}, "2026-05-05 00:00:00", 20 * time.Hour},
		{"the whole day", []string{"00:00-24:00"}, "2026-05-05 23:59:59", 0},
		{"the nearer of two", []string{"12:00-13:00", "03:00-04:00"}, "2026-05-05 01:00:00", 2 * time.Hour},
		{"all but an hour", []string{"13:00-12:00"}, "2026-05-05 12:30:00", 30 * time.Minute},
		{"clocks go forward over the window", []string{"02:15-02:45"}, "2026-03-29 01:30:00", 23*time.Hour + 45*time.Minute},
		{"clocks go forward into the window", []string{"02:30-03:30"}, "2026-03-29 01:30:00", 30 * time.Minute},
		{"clocks go back in between", []string{"04:00-05:00"}, "2026-10-25 01:00:00", 4 * time.Hour},
	} {
		ws, err := parseWindows(c.windows)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation(layout, c.at, berlin)
		if err != nil {
			t.Fatal(err)
		}
		if got := ws.opens(at); got != c.opens || ws.open(at) != (c.opens == 0) {
			t.Errorf("%s: at %s %v opens in %s, open %v; want %s", c.name, c.at, c.windows, got, ws.open(at), c.opens)
		}
	}
}

func TestWindowsInvalid(t *testing.T) {
	for _, text := range []string{"", "22:00", "22:00-", "-05:00", "22-05", "22:00-05:00-06:00", "22:00 - 05:00", "9:00-10:00", "24:01-05:00", "24:00-05:00", "25:00-26:00", "22:60-23:00", "05:00-05:00", "-", "22:00–05:00"} {
		if ws, err := parseWindows([]string{"01:00-02:00", text}); err == nil {
			t.Errorf("%q is taken for %v", text, ws)
		}
	}
}

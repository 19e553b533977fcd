package migrate

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// windows are times of the day in which users may be switched, local time. None at all means always.
type windows []window

// window is from one minute of the day to another, which is not in it any more. If that is the earlier one, midnight is in between.
type window struct{ from, to int }

const dayMinutes = 24 * 60

// parseWindows reads windows that are written as in 22:00-05:00.
func parseWindows(list []string) (windows, error) {
	var ws windows
	for _, text := range list {
		from, to, _ := strings.Cut(text, "-")
		w, err := window{}, error(nil)
		if w.from, err = minuteOfDay(from); err == nil {
			w.to, err = minuteOfDay(to)
		}
		switch {
		case err != nil || w.from == dayMinutes:
			return nil, fmt.Errorf("%q is no time window; write it as in \"22:00-05:00\", local time", text)
		case w.from == w.to:
			return nil, fmt.Errorf("%q is empty; for the whole day write \"00:00-24:00\", or leave the key out", text)
		}
		ws = append(ws, w)
	}
	return ws, nil
}

var errTimeOfDay = errors.New("no time of day")

// minuteOfDay reads HH:MM, up to 24:00.
func minuteOfDay(text string) (int, error) {
	if text == "24:00" {
		return dayMinutes, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, errTimeOfDay
	}
	return t.Hour()*60 + t.Minute(), nil
}

// open reports whether t, by its own clock on the wall, is in a window.
func (ws windows) open(t time.Time) bool {
	now := t.Hour()*60 + t.Minute()
	for _, w := range ws {
		if w.from < w.to && w.from <= now && now < w.to || w.from > w.to && (now >= w.from || now < w.to) {
			return true
		}
	}
	return len(ws) == 0
}

// opens returns how long it is from t to the next window, 0 inside of one. It goes minute by minute, since clocks are put forward
// and back: of a window in the hour that is left out there is none on that day.
func (ws windows) opens(t time.Time) time.Duration {
	at := t
	for ; !ws.open(at); at = at.Add(time.Minute).Truncate(time.Minute) {
		if at.Sub(t) > 3*24*time.Hour { // a window that exists is closed for two days at most
			break
		}
	}
	return at.Sub(t)
}

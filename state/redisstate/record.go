package redisstate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"imapferry/state"
)

// micros returns d as scripts take it: never 0 unless d is.
func micros(d time.Duration) int64 {
	if d > 0 && d < time.Microsecond {
		return 1
	}
	return d.Microseconds()
}

// instant returns t as scripts take it: 0 for none.
func instant(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fields reads a record's hash. The first field that is no number stays in err.
type fields struct {
	of  map[string]string
	err error
}

func (f *fields) number(name string) int64 {
	v, ok := f.of[name]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("read record: field %s: %w", name, err)
	}
	return n
}

func (f *fields) instant(name string) time.Time {
	n := f.number(name)
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// endedPrefix begins the fields that count ended sessions by reason.
const endedPrefix = "ended:"

func (f *fields) ended() (ended map[string]int64) {
	for name := range f.of {
		if reason, ok := strings.CutPrefix(name, endedPrefix); ok {
			if ended == nil {
				ended = map[string]int64{}
			}
			ended[reason] = f.number(name)
		}
	}
	return ended
}

// record reads what a script answers after "ok": now and the fields.
func record(user string, answer []any) (state.Record, error) {
	if len(answer) != 2 {
		return state.Record{}, fmt.Errorf("read record: a script answered %v", answer)
	}
	flat, err := texts(answer[1])
	if err != nil {
		return state.Record{}, fmt.Errorf("read record: %w", err)
	}
	f := fields{of: make(map[string]string, len(flat)/2+1)}
	for i := 0; i+1 < len(flat); i += 2 {
		f.of[flat[i]] = flat[i+1]
	}
	f.of["now"], _ = answer[0].(string)
	r := state.Record{
		User:     user,
		Phase:    state.Phase(f.number("phase")),
		Fidelity: state.Fidelity(f.of["fidelity"]),
		Reason:   f.of["reason"],
		Progress: state.Progress{
			Folders: f.number("nf"), Excluded: f.number("nx"), Messages: f.number("nm"), MessagesDone: f.number("nd"), BytesDone: f.number("nb"),
			Exceptions: f.number("ne"), HoldMS: f.number("hold"), Skipped: f.number("ng"),
			Stragglers: f.number("sb"), StragglersLeft: f.number("sl"), LastStraggler: f.instant("slast"), LastPass: f.instant("spass"),
		},
		Epoch:    uint64(f.number("epoch")),
		Attempts: int(f.number("attempts")), NextTry: f.instant("next"),
		Attempt: f.of["attempt"], Deadline: f.instant("deadline"), Committing: f.of["committing"] != "",
		Released: f.of["released"] != "", Park: f.of["park"] != "",
		Moved: f.number("moved"), Disconnected: f.number("disconnected"),
		Created: f.instant("created"), Started: f.instant("started"), Migrated: f.instant("migrated"),
	}
	r.Ended = f.ended()
	if f.number("until") > f.number("now") {
		r.Owner, r.LeaseUntil = f.of["owner"], f.instant("until")
	}
	return r, f.err
}

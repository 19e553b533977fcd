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
	of, err := pairs(answer[1])
	if err != nil {
		return state.Record{}, fmt.Errorf("read record: %w", err)
	}
	of["now"], _ = answer[0].(string)
	f := &fields{of: of}
	return f.record(user)
}

// fieldsOf returns the fields of k and their values, but for the phase. What is zero is no field.
func fieldsOf(k state.Kept) (words []any) {
	put := func(name string, v any) {
		switch v {
		case int64(0), "", uint64(0), 0:
		case true:
			words = append(words, name, 1)
		case false:
		default:
			words = append(words, name, v)
		}
	}
	for _, f := range []struct {
		name string
		v    any
	}{
		{"fidelity", string(k.Fidelity)}, {"reason", k.Reason},
		{"nf", k.Folders}, {"nx", k.Excluded}, {"nm", k.Messages}, {"nd", k.MessagesDone}, {"nb", k.BytesDone},
		{"ne", k.Exceptions}, {"hold", k.HoldMS}, {"ng", k.Skipped},
		{"sb", k.Stragglers}, {"sl", k.StragglersLeft}, {"slast", instant(k.LastStraggler)}, {"spass", instant(k.LastPass)},
		{"epoch", k.Epoch}, {"attempts", k.Attempts}, {"next", instant(k.NextTry)},
		{"attempt", k.Attempt}, {"aepoch", k.AttemptEpoch}, {"deadline", instant(k.Deadline)}, {"committing", k.Committing},
		{"released", k.Released}, {"park", k.Park}, {"moved", k.Moved}, {"disconnected", k.Disconnected},
		{"since", instant(k.Since)}, {"created", instant(k.Created)}, {"started", instant(k.Started)}, {"migrated", instant(k.Migrated)},
	} {
		put(f.name, f.v)
	}
	for reason, n := range k.Ended {
		words = append(words, endedPrefix+reason, n)
	}
	return words
}

// behind is what prelude calls BEHIND.
const behind = 1 << 52

// place returns where a user without a lease stands in the due queue, if there, as prelude's queue says.
func place(k state.Kept) (at int64, queued bool) {
	at = instant(k.Since)
	switch k.Phase {
	case state.Cutover:
		return at, true
	case state.Pending, state.Copying, state.Tailing:
		return max(at, instant(k.NextTry)), true
	case state.Migrated:
		return behind + max(at, instant(k.NextTry)), !k.NextTry.IsZero()
	}
	return 0, false
}

func (f *fields) record(user string) (state.Record, error) {
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

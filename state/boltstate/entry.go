package boltstate

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// entry is a record as the file has it: without lease, with what the store itself needs.
type entry struct {
	state.Record
	Since        time.Time // when the user last became free
	AttemptEpoch uint64    // the epoch that BeginCutover raised to
}

// packed is an entry in the file. Names are short and zeros are left out, since there is one for each user; times are
// nanoseconds.
type packed struct {
	Phase        uint8            `json:"p"`
	Fidelity     state.Fidelity   `json:"f,omitempty"`
	Reason       string           `json:"r,omitempty"`
	Folders      int64            `json:"nf,omitempty"`
	Messages     int64            `json:"nm,omitempty"`
	MessagesDone int64            `json:"nd,omitempty"`
	BytesDone    int64            `json:"nb,omitempty"`
	Exceptions   int64            `json:"ne,omitempty"`
	HoldMS       int64            `json:"h,omitempty"`
	Skipped      int64            `json:"ng,omitempty"`
	Excluded     int64            `json:"nx,omitempty"`
	Stragglers   int64            `json:"ls,omitempty"`
	Left         int64            `json:"ll,omitempty"`
	LastLate     int64            `json:"lt,omitempty"`
	LastPass     int64            `json:"lp,omitempty"`
	Epoch        uint64           `json:"e,omitempty"`
	Attempts     int              `json:"t,omitempty"`
	NextTry      int64            `json:"tn,omitempty"`
	Attempt      string           `json:"a,omitempty"`
	AttemptEpoch uint64           `json:"ae,omitempty"`
	Deadline     int64            `json:"ad,omitempty"`
	Committing   bool             `json:"ac,omitempty"`
	Released     bool             `json:"rl,omitempty"`
	Park         bool             `json:"pk,omitempty"`
	Moved        int64            `json:"sm,omitempty"`
	Disconnected int64            `json:"sd,omitempty"`
	Ended        map[string]int64 `json:"sr,omitempty"`
	Since        int64            `json:"w,omitempty"`
	Created      int64            `json:"c,omitempty"`
	Started      int64            `json:"cs,omitempty"`
	Migrated     int64            `json:"cm,omitempty"`
}

func (e *entry) pack() ([]byte, error) {
	return json.Marshal(packed{
		Phase: uint8(e.Phase), Fidelity: e.Fidelity, Reason: e.Reason,
		Folders: e.Folders, Excluded: e.Excluded, Messages: e.Messages, MessagesDone: e.MessagesDone, BytesDone: e.BytesDone,
		Exceptions: e.Exceptions, HoldMS: e.HoldMS, Skipped: e.Skipped,
		Stragglers: e.Stragglers, Left: e.StragglersLeft, LastLate: nanos(e.LastStraggler), LastPass: nanos(e.LastPass),
		Epoch: e.Epoch, Attempts: e.Attempts, NextTry: nanos(e.NextTry),
		Attempt: e.Attempt, AttemptEpoch: e.AttemptEpoch, Deadline: nanos(e.Deadline), Committing: e.Committing,
		Released: e.Released, Park: e.Park, Moved: e.Moved, Disconnected: e.Disconnected, Ended: e.Ended,
		Since: nanos(e.Since), Created: nanos(e.Created), Started: nanos(e.Started), Migrated: nanos(e.Migrated),
	})
}

func unpack(user string, b []byte) (entry, error) {
	var p packed
	if err := json.Unmarshal(b, &p); err != nil {
		return entry{}, fmt.Errorf("read record: %w", err)
	}
	return entry{
		Record: state.Record{
			User: user, Phase: state.Phase(p.Phase), Fidelity: p.Fidelity, Reason: p.Reason,
			Progress: state.Progress{
				Folders: p.Folders, Excluded: p.Excluded, Messages: p.Messages, MessagesDone: p.MessagesDone, BytesDone: p.BytesDone,
				Exceptions: p.Exceptions, HoldMS: p.HoldMS, Skipped: p.Skipped,
				Stragglers: p.Stragglers, StragglersLeft: p.Left, LastStraggler: instant(p.LastLate), LastPass: instant(p.LastPass),
			},
			Epoch: p.Epoch, Attempts: p.Attempts, NextTry: instant(p.NextTry),
			Attempt: p.Attempt, Deadline: instant(p.Deadline), Committing: p.Committing,
			Released: p.Released, Park: p.Park, Moved: p.Moved, Disconnected: p.Disconnected, Ended: p.Ended,
			Created: instant(p.Created), Started: instant(p.Started), Migrated: instant(p.Migrated),
		},
		Since: instant(p.Since), AttemptEpoch: p.AttemptEpoch,
	}, nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func instant(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// load reads the entry of user, or state.ErrUnknown.
func load(tx *bolt.Tx, user string) (entry, error) {
	b := tx.Bucket(usersBucket).Get([]byte(user))
	if b == nil {
		return entry{}, state.ErrUnknown
	}
	return unpack(user, b)
}

// save writes e and brings indexes and counters from was, the zero entry for a new user, to e.
func save(tx *bolt.Tx, was, e entry) error {
	b, err := e.pack()
	if err != nil {
		return err
	}
	if err := tx.Bucket(usersBucket).Put([]byte(e.User), b); err != nil {
		return err
	}
	if was.Phase != e.Phase {
		if err := movePhase(tx, e.User, was.Phase, e.Phase); err != nil {
			return err
		}
	}
	before, after := dueKey(was), dueKey(e)
	if bytes.Equal(before, after) {
		return nil
	}
	due := tx.Bucket(dueBucket)
	if before != nil {
		if err := due.Delete(before); err != nil {
			return err
		}
	}
	if after == nil {
		return nil
	}
	return due.Put(after, nil)
}

// movePhase takes user from one phase to another, in index and counters. Phase 0 is none.
func movePhase(tx *bolt.Tx, user string, from, to state.Phase) error {
	phases := tx.Bucket(phasesBucket)
	if from != 0 {
		if err := phases.Delete(phaseKey(from, user)); err != nil {
			return err
		}
		if err := count(tx, from, -1); err != nil {
			return err
		}
	}
	if err := phases.Put(phaseKey(to, user), nil); err != nil {
		return err
	}
	return count(tx, to, 1)
}

func phaseKey(p state.Phase, user string) []byte { return append([]byte{byte(p)}, user...) }

func count(tx *bolt.Tx, p state.Phase, by int64) error {
	b := tx.Bucket(countsBucket)
	return b.Put([]byte{byte(p)}, binary.BigEndian.AppendUint64(nil, uint64(counted(b, p)+by)))
}

func counted(b *bolt.Bucket, p state.Phase) int64 {
	v := b.Get([]byte{byte(p)})
	if v == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

// dueAt returns since when a user without lease waits for a worker. A user in cutover waits for nothing else: clients do, too.
func dueAt(e entry) time.Time {
	if e.Phase != state.Cutover && e.NextTry.After(e.Since) {
		return e.NextTry
	}
	return e.Since
}

// behind is the bit of a due key that puts migrated users behind all others: their stragglers can wait.
const behind = 1 << 63

// dueKey returns the key in the due index, or nil for users for whom no worker is sought.
func dueKey(e entry) []byte {
	at := uint64(nanos(dueAt(e)))
	switch e.Phase {
	case state.Pending, state.Copying, state.Tailing, state.Cutover:
	case state.Migrated:
		if e.NextTry.IsZero() {
			return nil
		}
		at |= behind
	default:
		return nil
	}
	return append(binary.BigEndian.AppendUint64(nil, at), e.User...)
}

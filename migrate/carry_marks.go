package migrate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"imapferry/internal/wire"
	"imapferry/state"
)

// What the target has and the source has not is an operator's own, or the source has taken it back. These are told apart by what the
// source was last seen to have, which is in the folder's note. It is there before the target is told anything, so that what a dead
// worker has set is known to be ours.

// marks are names, in order, each by the beginning of its digest: the note stays small, whatever bytes they have.
type marks []uint64

// maxMarks bounds what is remembered of one kind. Three of them, each with what is about to be taken back, fit into a note beside
// a batch.
const maxMarks = 300

func mark(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

func newMarks(names ...string) marks {
	m := marks{}
	for _, n := range names {
		m = append(m, mark(n))
	}
	return m.and(nil)
}

func (m marks) has(name string) bool {
	_, ok := slices.BinarySearch(m, mark(name))
	return ok
}

// and returns the marks of both, which are not nil.
func (m marks) and(more marks) marks {
	all := append(append(marks{}, m...), more...)
	slices.Sort(all)
	return slices.Compact(all)
}

func (m marks) atMost(n int) marks { return m[:min(len(m), n)] }

// carried is what the source was last seen to have of a folder; nil if nobody has looked.
type carried struct {
	Rights  marks `json:"a,omitzero"`
	Entries marks `json:"e,omitzero"`
	Account marks `json:"t,omitzero"` // entries of the account, in the note of INBOX
}

func (c *carried) carries() bool { return len(c.Rights)+len(c.Entries)+len(c.Account) > 0 }

// remember puts marks of folders, and theAccount, into their notes.
func (w *worker) remember(ctx context.Context, k *kind, all map[string]marks) error {
	records := map[string]state.Folder{}
	for folder, m := range all {
		at := recordOf(folder)
		f, ok := records[at]
		if !ok {
			f, ok = w.known()[at]
		}
		if !ok {
			continue // the account's, with an INBOX that stays behind
		}
		n, err := readNote(f)
		if err != nil {
			return err
		}
		*k.marks(&n.carried, folder) = m
		records[at] = noted(f, n)
	}
	return w.putFolders(ctx, slices.Collect(maps.Values(records))...)
}

// recordOf returns the folder in whose note the marks of folder, or theAccount, are.
func recordOf(folder string) string { return cmp.Or(folder, wire.Inbox) }

// inherited returns what was set on any folder, which those that are made below it then may have, too.
func (w *worker) inherited(k *kind) (all marks, err error) {
	for name, f := range w.known() {
		n, err := readNote(f)
		if err != nil {
			return nil, err
		}
		all = append(all, *k.marks(&n.carried, name)...)
	}
	return all.and(nil), nil
}

package journal

import (
	"bytes"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// Roster returns the nodes of which NoteRoster was last told.
func (j *Journal) Roster() (names []string, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(metaBucket).Get(rosterKey); len(b) > 0 {
			names = strings.Split(string(b), "\x00")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return names, nil
}

// NoteRoster remembers all nodes that have a journal, since a store that comes back older may lack the newest of them. What is known
// already costs no write.
func (j *Journal) NoteRoster(names []string) error {
	b := []byte(strings.Join(names, "\x00"))
	same := false
	err := j.db.View(func(tx *bolt.Tx) error {
		same = bytes.Equal(tx.Bucket(metaBucket).Get(rosterKey), b)
		return nil
	})
	if err == nil && !same {
		err = j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(rosterKey, b) })
	}
	if err != nil {
		return fmt.Errorf("journal the roster: %w", err)
	}
	return nil
}

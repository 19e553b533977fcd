package boltstate

import (
	"errors"
	"os"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"imapferry/state"
)

// ErrInUse says that another process has the file.
var ErrInUse = errors.New("the file is in use by another imapferry process")

// Try finds out whether Open would succeed, and writes nothing: the file is opened for reading alone, by a lock that lets no running node go. Its
// errors do not name the path.
func Try(path string) (err error) {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: lockWait})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, os.ErrNotExist):
		return state.ErrAbsent
	case err != nil:
		return withoutPath(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return errForm
		}
		return knownForm(meta)
	})
}

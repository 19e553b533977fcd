package boltstate

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"imapferry/state/statetest"
)

// BenchmarkMillion prints what a user costs in a file that has a million of them, beside one that has a thousand.
func BenchmarkMillion(b *testing.B) {
	few, many := populate(b, statetest.Few), populate(b, statetest.Many)
	for range b.N {
		statetest.Costs(b, few, many)
	}
}

// populate fills a file of its own.
func populate(b *testing.B, users int) statetest.Population {
	b.Helper()
	path := filepath.Join(b.TempDir(), "state.db")
	s, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	if err := statetest.Settle(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	s.db.NoSync = true
	for next := len(statetest.Kinds); next < users; {
		err := s.db.Update(func(tx *bolt.Tx) error {
			for end := min(next+50_000, users); next < end; next++ {
				if err := copyUser(tx, statetest.Citizen(next%len(statetest.Kinds)), statetest.Citizen(next)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := range statetest.Kinds {
		if err := statetest.Alike(b.Context(), s, users-1-i); err != nil {
			b.Error(err)
		}
	}
	file, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return statetest.Population{Store: s, Users: users, Bytes: map[string]float64{"each user's part of the file": float64(file.Size()) / float64(users)}}
}

// copyUser makes of a user a copy.
func copyUser(tx *bolt.Tx, of, user string) error {
	e, err := load(tx, of)
	if err != nil {
		return err
	}
	e.User = user
	if err := save(tx, entry{}, e); err != nil {
		return err
	}
	folders, prefix := tx.Bucket(foldersBucket), folderKey(of, "")
	all := map[string][]byte{} // by name: a cursor must not go on after a change
	c := folders.Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		all[string(k[len(prefix):])] = bytes.Clone(v)
	}
	for name, f := range all {
		if err := folders.Put(folderKey(user, name), f); err != nil {
			return err
		}
	}
	claims := tx.Bucket(claimsBucket)
	for i, t := range statetest.Tokens(of) {
		if claims.Get([]byte(t)) != nil {
			if err := claims.Put([]byte(statetest.Tokens(user)[i]), []byte(user)); err != nil {
				return err
			}
		}
	}
	return nil
}

package boltstate

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"imapferry/state"
)

// importAtOnce is how many pieces share a transaction. Each is synced, and rewrites most of the pages of a large file, since users come in
// any order.
const importAtOnce = 50_000

// Import is a file that is being filled. Its methods are not safe for concurrent use.
type Import struct {
	db     *bolt.DB
	id     string
	tx     *bolt.Tx // nil between two
	pieces int      // in tx
	user   string   // whose folders and exceptions come now
	tally  tally    // of user; written when the next one comes
}

var _ state.Import = (*Import)(nil)

// StartImport opens the file at path, or makes it, to be filled with the content of the store with this id.
func StartImport(path, id string) (*Import, error) {
	db, err := openFile(path, false)
	if err != nil {
		return nil, err
	}
	if err := db.Update(begin); err != nil {
		return nil, fmt.Errorf("import into %s: %w", path, errors.Join(err, db.Close()))
	}
	return &Import{db: db, id: id}, nil
}

// begin marks a file without content, or with that of an import that has not ended.
func begin(tx *bolt.Tx) error {
	meta, err := layout(tx)
	if err != nil {
		return err
	}
	if meta.Get(importKey) == nil {
		for _, name := range contentBuckets {
			if k, _ := tx.Bucket(name).Cursor().First(); k != nil {
				return state.ErrNotEmpty
			}
		}
		return cmp.Or(meta.Put(importKey, []byte{1}), meta.Delete(idKey))
	}
	for _, name := range contentBuckets {
		if err := tx.DeleteBucket(name); err != nil {
			return err
		}
	}
	_, err = layout(tx)
	return err
}

// put adds a piece.
func (i *Import) put(ctx context.Context, add func(*bolt.Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if i.tx == nil {
		if i.tx, err = i.db.Begin(true); err != nil {
			return err
		}
	}
	if err := add(i.tx); err != nil {
		return err
	}
	if i.pieces++; i.pieces < importAtOnce {
		return nil
	}
	return i.commit()
}

func (i *Import) commit() error {
	tx := i.tx
	i.tx, i.pieces = nil, 0
	if tx == nil {
		return nil
	}
	return tx.Commit()
}

// Journal implements state.Taker. A file's records count at once, so nothing may be missing in them.
func (i *Import) Journal(ctx context.Context, node string, posted bool) error {
	if posted {
		return ctx.Err()
	}
	return fmt.Errorf("the journal of node %s may know of switches that the content lacks: start all nodes on the store that was exported, stop them, and export again: %w",
		node, state.ErrUntrusted)
}

// User implements state.Taker.
func (i *Import) User(ctx context.Context, k state.Kept) (err error) {
	defer note(&err, "import user", k.User)
	return i.put(ctx, func(tx *bolt.Tx) error {
		if _, err := load(tx, k.User); err != state.ErrUnknown {
			return cmp.Or(err, errTwice)
		}
		if err := i.endUser(tx); err != nil {
			return err
		}
		i.user, i.tally = k.User, tally{Of: k.Classes}
		return save(tx, entry{}, entry{Record: k.Record, Since: k.Since, AttemptEpoch: k.AttemptEpoch})
	})
}

var errTwice = fmt.Errorf("it came before: %w", state.ErrInvalid)

// endUser writes what is counted of the user before.
func (i *Import) endUser(tx *bolt.Tx) error {
	if i.user == "" {
		return nil
	}
	return i.tally.write(tx, i.user)
}

// Folder implements state.Taker.
func (i *Import) Folder(ctx context.Context, f state.Folder) (err error) {
	defer note(&err, "import folder of", i.user)
	return i.put(ctx, func(tx *bolt.Tx) error { return tx.Bucket(foldersBucket).Put(folderKey(i.user, f.Name), f.Pack()) })
}

// Exception implements state.Taker.
func (i *Import) Exception(ctx context.Context, e state.Exception) (err error) {
	defer note(&err, "import exception of", i.user)
	return i.put(ctx, func(tx *bolt.Tx) error {
		i.tally.Listed++
		return tx.Bucket(exceptionsBucket).Put(folderKey(i.user, e.Key()), e.Pack())
	})
}

// Claim implements state.Taker.
func (i *Import) Claim(ctx context.Context, token, user string) (err error) {
	defer note(&err, "import claim of", user)
	return i.put(ctx, func(tx *bolt.Tx) error { return tx.Bucket(claimsBucket).Put([]byte(token), []byte(user)) })
}

// Finish implements state.Import.
func (i *Import) Finish(ctx context.Context) (err error) {
	defer note(&err, "finish", "import")
	err = i.put(ctx, func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		return cmp.Or(i.endUser(tx), meta.Put(idKey, []byte(i.id)), meta.Delete(importKey))
	})
	if err != nil {
		return err
	}
	return i.commit()
}

// Close implements state.Import.
func (i *Import) Close() error {
	if i.tx != nil {
		if err := i.tx.Rollback(); err != nil {
			return err
		}
		i.tx = nil
	}
	return i.db.Close()
}

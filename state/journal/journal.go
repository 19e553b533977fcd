// Package journal is what a node remembers, on a disk of its own, of the users whom it has sent to the target.
//
// A store can come back older than it was: emptied, restored from a snapshot, failed over with the last writes lost. Then it says of a
// user who was switched that the source serves him, and what clients have written to the target since is lost to them, or overwritten.
// So a node notes each switch here, durably, before it lets anybody act on it (state/model/journal.pml, guard MOVE_BEFORE_JOURNAL): a
// switch that no node has noted was acted on by nobody, and is safe to be lost. A noted switch beats any record that says otherwise,
// and while the store is out of reach it alone is enough to serve the user. What one node has noted the others learn by its being posted:
// all wait for that whenever the store may have lost writes (state.Journals).
//
//	switches   user → packed switch: attempt, fidelity, time, and the folders that the relay's view needs
//	meta       store → id of the store whose switches these are; roster → names of all nodes, whose journals together know all switches
//
// Nothing is read at start but the file's head, whatever it holds: pages come in as users are looked up. That is safe because no
// decision is made of a part of it: each is about one user, whose entry is looked up then.
package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"imapferry/state"
)

const (
	lockWait   = time.Second          // for a process that is just ending
	batchDelay = 2 * time.Millisecond // how long a note waits for others that share its sync
)

var (
	switchesBucket = []byte("switches")
	metaBucket     = []byte("meta")
	storeKey       = []byte("store")
	rosterKey      = []byte("roster")
)

// ErrForeign says that the switches of a journal are another store's.
var ErrForeign = errors.New("the journal has the switches of another store")

// Journal is one node's. All methods are safe for concurrent use.
type Journal struct{ db *bolt.DB }

// Open opens the file at path, or makes it, for this process alone.
func Open(path string) (*Journal, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open journal %s: the file is in use by another imapferry process; each node needs one of its own", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, withoutPath(err))
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(metaBucket)
		if err == nil {
			_, err = tx.CreateBucketIfNotExists(switchesBucket)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, errors.Join(err, db.Close()))
	}
	db.MaxBatchDelay = batchDelay
	return &Journal{db}, nil
}

// withoutPath spares the reader the path twice.
func withoutPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Close lets the next process have the file.
func (j *Journal) Close() error {
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// Bind makes sure that the journal is of the store with this id. It returns ErrForeign if it has switches of another one, of which
// nothing must be told to this one unless an operator says that it takes the other's place: Adopt.
func (j *Journal) Bind(id string) error {
	return j.bind(id, func(tx *bolt.Tx) error {
		if k, _ := tx.Bucket(switchesBucket).Cursor().First(); k != nil {
			return ErrForeign
		}
		return nil
	})
}

// Adopt makes the journal one of the store with this id.
func (j *Journal) Adopt(id string) error { return j.bind(id, func(*bolt.Tx) error { return nil }) }

// bind notes id, if it is another one than before and other allows it.
func (j *Journal) bind(id string, other func(*bolt.Tx) error) error {
	err := j.db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if string(meta.Get(storeKey)) == id {
			return nil
		}
		if err := other(tx); err != nil {
			return err
		}
		return meta.Put(storeKey, []byte(id))
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// Switch is what has to be known of a user to serve him at the target.
type Switch struct {
	User     string
	Attempt  string // of the cutover
	Fidelity state.Fidelity
	Migrated time.Time
	Folders  []state.Folder // in order of name, without the engine's notes; none if the relay needs no view
}

// Of returns the switch that rec tells of, with those of folders that the relay's view needs.
func Of(rec state.Record, folders []state.Folder) Switch {
	s := Switch{User: rec.User, Attempt: rec.Attempt, Fidelity: rec.Fidelity, Migrated: rec.Migrated}
	for _, f := range folders {
		if rec.Fidelity == state.Translated || len(f.Skipped) > 0 {
			f.Engine = nil
			s.Folders = append(s.Folders, f)
		}
	}
	slices.SortFunc(s.Folders, func(a, b state.Folder) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// Record returns what can be said of the user without the store.
func (s Switch) Record() state.Record {
	r := state.Record{User: s.User, Phase: state.Migrated, Fidelity: s.Fidelity, Attempt: s.Attempt, Migrated: s.Migrated}
	for _, f := range s.Folders {
		r.Skipped += int64(min(len(f.Skipped), 1))
	}
	return r
}

// packed is a Switch in the file. Folders are name and packed folder in turn.
type packed struct {
	Attempt  string         `json:"a,omitempty"`
	Fidelity state.Fidelity `json:"f,omitempty"`
	Migrated int64          `json:"m,omitempty"` // nanoseconds since 1970
	Folders  [][]byte       `json:"v,omitempty"`
}

func (s Switch) pack() ([]byte, error) {
	p := packed{Attempt: s.Attempt, Fidelity: s.Fidelity}
	if !s.Migrated.IsZero() {
		p.Migrated = s.Migrated.UnixNano()
	}
	for _, f := range s.Folders {
		p.Folders = append(p.Folders, []byte(f.Name), f.Pack())
	}
	return json.Marshal(p)
}

func unpack(user string, b []byte) (Switch, error) {
	var p packed
	if err := json.Unmarshal(b, &p); err != nil {
		return Switch{}, fmt.Errorf("journal entry of %s: %w", user, err)
	}
	s := Switch{User: user, Attempt: p.Attempt, Fidelity: p.Fidelity}
	if p.Migrated != 0 {
		s.Migrated = time.Unix(0, p.Migrated).UTC()
	}
	for i := 0; i+1 < len(p.Folders); i += 2 {
		f, err := state.UnpackFolder(string(p.Folders[i]), p.Folders[i+1])
		if err != nil {
			return Switch{}, fmt.Errorf("journal entry of %s: %w", user, err)
		}
		s.Folders = append(s.Folders, f)
	}
	return s, nil
}

// Note remembers s. When it returns nil that is durable. What is known already costs no write.
func (j *Journal) Note(s Switch) error {
	b, err := s.pack()
	if err != nil {
		return fmt.Errorf("journal the switch of %s: %w", s.User, err)
	}
	same := false
	err = j.db.View(func(tx *bolt.Tx) error {
		same = bytes.Equal(tx.Bucket(switchesBucket).Get([]byte(s.User)), b)
		return nil
	})
	if err == nil && !same {
		err = j.db.Batch(func(tx *bolt.Tx) error { return tx.Bucket(switchesBucket).Put([]byte(s.User), b) })
	}
	if err != nil {
		return fmt.Errorf("journal the switch of %s: %w", s.User, err)
	}
	return nil
}

// Find returns the switch of user, if there was one.
func (j *Journal) Find(user string) (s Switch, ok bool, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(switchesBucket).Get([]byte(user))
		if ok = b != nil; !ok {
			return nil
		}
		s, err = unpack(user, b)
		return err
	})
	if err != nil {
		return Switch{}, false, fmt.Errorf("read journal: %w", err)
	}
	return s, ok, nil
}

// After returns at most limit switches in order of user name, those after the name after ("" for the first). Fewer than limit means
// that there are no more.
func (j *Journal) After(after string, limit int) (page []Switch, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(switchesBucket).Cursor()
		k, v := c.Seek([]byte(after))
		if after != "" && string(k) == after {
			k, v = c.Next()
		}
		for ; k != nil && len(page) < limit; k, v = c.Next() {
			s, err := unpack(string(k), v)
			if err != nil {
				return err
			}
			page = append(page, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return page, nil
}

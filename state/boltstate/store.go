package boltstate

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"imapferry/state"
)

// form is the number of the file's layout. A file with another one is not touched.
const form = 1

const (
	lockWait    = time.Second      // for a former process that is about to end
	reportDelay = time.Second      // within which progress is written
	batchDelay  = time.Millisecond // for which Offer, Claim and Tally wait for others to share a sync; more would only delay logins
)

var (
	metaBucket    = []byte("meta")
	usersBucket   = []byte("users")
	phasesBucket  = []byte("phases")
	countsBucket  = []byte("counts")
	dueBucket     = []byte("due")
	foldersBucket = []byte("folders")
	claimsBucket  = []byte("claims")

	exceptionsBucket = []byte("exceptions")
	tallyBucket      = []byte("exception counts")

	formKey = []byte("form")
	idKey   = []byte("id")

	importKey = []byte("import") // there while an import goes on, or if it died; id is not there then
)

// contentBuckets are those that hold what the store keeps.
var contentBuckets = [][]byte{usersBucket, phasesBucket, countsBucket, dueBucket, foldersBucket, claimsBucket, exceptionsBucket, tallyBucket}

var errClosed = errors.New("the store is closed")

// Options is what Open may be told. The zero value is right for all but tests.
type Options struct {
	Now      func() time.Time // the store's clock; nil is time.Now
	Existing bool             // a file that is not there is an error, state.ErrAbsent
}

// Store is a state.Store in a file.
type Store struct {
	// Immutable.
	db   *bolt.DB
	id   string
	now  func() time.Time
	stop chan struct{} // closed by Close
	done chan struct{} // closed when keep has returned
	hub  hub

	// write is held by everything that reads or changes the fields below for a decision, until the transaction is
	// through. It is taken before mu.
	write sync.Mutex

	// mu is held for moments only, never while something is written, so that reading a record does not wait for the disk. Changed with both held, read with either.
	mu       sync.RWMutex
	closed   bool
	leases   map[string]lease          // by user; ended ones until keep has noted it
	writing  map[string]state.Record   // by user; as it was before the transition that is being written
	progress map[string]state.Progress // by user; not yet in the file
	cutovers map[string]*cutover       // by user
	nodes    map[string]life           // by name
}

var _ state.Store = (*Store)(nil)

// Open opens the file at path, or makes it, for this process alone.
func Open(path string, opts Options) (*Store, error) {
	db, err := openFile(path, opts.Existing)
	if err != nil {
		return nil, err
	}
	if err := db.Update(prepare); err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, errors.Join(err, db.Close()))
	}
	var id string
	err = db.View(func(tx *bolt.Tx) error {
		id = string(tx.Bucket(metaBucket).Get(idKey))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open state %s: %w", path, errors.Join(err, db.Close()))
	}
	db.MaxBatchDelay = batchDelay
	s := &Store{
		db: db, id: id, now: opts.Now, stop: make(chan struct{}), done: make(chan struct{}),
		leases:   map[string]lease{},
		writing:  map[string]state.Record{},
		progress: map[string]state.Progress{},
		cutovers: map[string]*cutover{},
		nodes:    map[string]life{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	go s.keep()
	return s, nil
}

// openFile opens the file for this process alone.
func openFile(path string, existing bool) (*bolt.DB, error) {
	opts := &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType}
	if existing {
		opts.OpenFile = func(name string, flag int, perm os.FileMode) (*os.File, error) {
			return os.OpenFile(name, flag&^os.O_CREATE, perm)
		}
	}
	db, err := bolt.Open(path, 0o600, opts)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open state %s: %w", path, ErrInUse)
	case existing && errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("open state %s: %w", path, state.ErrAbsent)
	case err != nil:
		return nil, fmt.Errorf("open state %s: %w", path, withoutPath(err))
	}
	return db, nil
}

// withoutPath spares the reader the path twice.
func withoutPath(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// prepare makes the buckets of a new file and checks the layout of an old one.
func prepare(tx *bolt.Tx) error {
	meta, err := layout(tx)
	if err != nil {
		return err
	}
	if err := knownForm(meta); err != nil {
		return err
	}
	if meta.Get(idKey) == nil {
		return meta.Put(idKey, []byte(rand.Text()))
	}
	return nil
}

var errForm = errors.New("the file was written by another version of imapferry, which lays it out differently")

// knownForm returns an error unless the file is a store that is whole.
func knownForm(meta *bolt.Bucket) error {
	if v := meta.Get(formKey); len(v) != 4 || binary.BigEndian.Uint32(v) != form {
		return errForm
	}
	if meta.Get(importKey) != nil {
		return state.ErrUnfinished
	}
	return nil
}

// layout makes the buckets that are missing, and returns the one that tells of the file.
func layout(tx *bolt.Tx) (*bolt.Bucket, error) {
	meta, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return nil, err
	}
	switch err := knownForm(meta); {
	case meta.Get(formKey) == nil:
		if err := meta.Put(formKey, binary.BigEndian.AppendUint32(nil, form)); err != nil {
			return nil, err
		}
	case errors.Is(err, errForm):
		return nil, err
	}
	for _, name := range contentBuckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return nil, err
		}
	}
	return meta, nil
}

// ID implements state.Store.
func (s *Store) ID() string { return s.id }

// Ping implements state.Store.
func (s *Store) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.View(func(*bolt.Tx) error { return nil })
}

// Close writes what is not yet in the file and lets the next process have it. A second Close does nothing.
func (s *Store) Close() error {
	s.write.Lock()
	if s.closed {
		s.write.Unlock()
		return nil
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.write.Unlock()

	close(s.stop)
	<-s.done
	s.hub.close()
	if err := errors.Join(s.flush(), s.db.Close()); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

// keep writes coalesced progress now and then.
func (s *Store) keep() {
	defer close(s.done)
	tick := time.NewTicker(reportDelay)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			_ = s.flush() // progress stays in memory for the next tick; what must not be lost reports its own error
		}
	}
}

// lock takes write for a decision, and the time at which it is made. It returns an error once the store is closed or
// ctx has ended.
func (s *Store) lock(ctx context.Context) (now time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	s.write.Lock()
	if s.closed {
		s.write.Unlock()
		return time.Time{}, errClosed
	}
	return s.now(), nil
}

// note names the act and its object in what a method returns.
func note(err *error, act, object string) {
	if *err != nil {
		*err = fmt.Errorf("%s %s: %w", act, object, *err)
	}
}

package state

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Exception is a message or an attribute of a user that could not be carried over as it was (I10).
type Exception struct {
	Folder    string    `json:"folder"`               // raw name; empty: the account
	UID       uint32    `json:"uid,omitempty"`        // 0: the folder or the account itself
	Class     string    `json:"class"`                // what the configuration's allow may name
	MessageID string    `json:"message_id,omitempty"` // as far as it could be read
	Text      string    `json:"text"`                 // what happened, with the server's words
	At        time.Time `json:"at,omitzero"`
}

// What a store takes of exceptions.
const (
	MaxExceptions = 100_000 // listed for each user; more are only counted
	maxClass      = 64      // bytes
	maxMessageID  = 256     // bytes; a longer one is cut, never refused
)

// Exceptions is the list of what could not be carried over as it was. It outlives the switch.
type Exceptions interface {
	// PutExceptions adds to the list of the lease's user. One with the folder, UID and class of another replaces it.
	// Beyond MaxExceptions new ones are counted and not listed, so those may be counted more than once. It returns
	// ErrInvalid for what Exception.Check refuses, ErrLost as the methods of Leases do.
	PutExceptions(ctx context.Context, l Lease, list ...Exception) error
	// DeleteException takes the one with e's folder, UID and class from the list. An unknown one is no error.
	DeleteException(ctx context.Context, l Lease, e Exception) error
	// DeleteExceptions takes all of a folder from the list, its own and those of its messages.
	DeleteExceptions(ctx context.Context, l Lease, folder string) error
	// Exceptions returns at most limit exceptions of user in order of Key, those behind the key after ("" for the
	// first). Fewer than limit means that there are no more.
	Exceptions(ctx context.Context, user, after string, limit int) ([]Exception, error)
	// CountExceptions returns how many exceptions of each class user has, without reading the list.
	CountExceptions(ctx context.Context, user string) (map[string]int64, error)
}

// Key is where e stands in the list: by folder, UID and class.
func (e Exception) Key() string {
	b := append([]byte(e.Folder), 0)
	b = binary.BigEndian.AppendUint32(b, e.UID)
	return string(append(b, e.Class...))
}

// packedException is what a store keeps beside the key. Times are microseconds.
type packedException struct {
	MessageID string `json:"m,omitempty"`
	Text      string `json:"t,omitempty"`
	At        int64  `json:"a,omitempty"`
}

// Pack returns what stands behind the key, cut to what a store takes.
func (e Exception) Pack() []byte {
	p := packedException{MessageID: cut(e.MessageID, maxMessageID), Text: CutReason(e.Text)}
	if !e.At.IsZero() {
		p.At = e.At.UnixMicro()
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and a number cannot fail
	}
	return b
}

// UnpackException is the inverse of Key and Pack.
func UnpackException(key string, packed []byte) (Exception, error) {
	folder, rest, ok := strings.Cut(key, "\x00")
	if !ok || len(rest) < 4 {
		return Exception{}, fmt.Errorf("read exception: %q is no key", key)
	}
	var p packedException
	if err := json.Unmarshal(packed, &p); err != nil {
		return Exception{}, fmt.Errorf("read exception: %w", err)
	}
	e := Exception{Folder: folder, UID: binary.BigEndian.Uint32([]byte(rest)), Class: rest[4:], MessageID: p.MessageID, Text: p.Text}
	if p.At != 0 {
		e.At = time.UnixMicro(p.At).UTC()
	}
	return e, nil
}

// Check returns ErrInvalid with what is wrong, or nil. A folder's name may be any bytes but NUL.
func (e Exception) Check() error {
	switch {
	case len(e.Folder) > MaxFolder:
		return fmt.Errorf("exception's folder name has %d bytes, more than %d: %w", len(e.Folder), MaxFolder, ErrInvalid)
	case strings.IndexByte(e.Folder, 0) >= 0:
		return fmt.Errorf("exception's folder name has a NUL: %w", ErrInvalid)
	case e.Class == "" || len(e.Class) > maxClass || strings.Trim(e.Class, "abcdefghijklmnopqrstuvwxyz-") != "":
		return fmt.Errorf("exception's class %.70q is not 1 to %d small letters and hyphens: %w", e.Class, maxClass, ErrInvalid)
	}
	return nil
}

// CheckExceptions is Exception.Check for many.
func CheckExceptions(list []Exception) error {
	for _, e := range list {
		if err := e.Check(); err != nil {
			return err
		}
	}
	return nil
}

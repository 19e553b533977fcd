package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// MaxTouched bounds what one node tells of one user: the relay then counts everything as touched.
const MaxTouched = 1000

// Touched says that clients have changed a folder of the source through one node.
type Touched struct {
	Folder string        // raw name at the source; "" stands for folders that the node did not keep apart
	Age    time.Duration // since the last change, when the node acknowledged
	Gone   bool          // the last change deleted the folder, or gave it another name
	// The highest UID that a client was told is stored, by APPENDUID or COPYUID (RFC 4315), and the UIDVALIDITY that
	// came with it. 0: none.
	UIDValidity, UID uint32
}

// CheckSessions returns ErrInvalid unless n may be a number of sessions.
func CheckSessions(n int) error {
	if n < 0 {
		return fmt.Errorf("%d sessions: %w", n, ErrInvalid)
	}
	return nil
}

// CheckTouched returns ErrInvalid with what is wrong, or nil.
func CheckTouched(list []Touched) error {
	if len(list) > MaxTouched {
		return fmt.Errorf("%d touched folders, more than %d: %w", len(list), MaxTouched, ErrInvalid)
	}
	for _, t := range list {
		if len(t.Folder) > MaxFolder || t.Age < 0 {
			return fmt.Errorf("touched folder with a name of %d bytes, %v ago: %w", len(t.Folder), t.Age, ErrInvalid)
		}
	}
	return nil
}

// touchedForm is the first byte of a packed list. Another form gets another number.
const touchedForm = 1

// PackTouched returns list as stores keep it: names need not be UTF-8, which JSON would spoil.
func PackTouched(list []Touched) []byte {
	b := []byte{touchedForm}
	for _, t := range list {
		b = binary.AppendUvarint(b, uint64(len(t.Folder)))
		b = append(b, t.Folder...)
		b = binary.AppendUvarint(b, uint64(t.Age))
		gone := byte(0)
		if t.Gone {
			gone = 1
		}
		b = append(b, gone)
		b = binary.BigEndian.AppendUint32(b, t.UIDValidity)
		b = binary.BigEndian.AppendUint32(b, t.UID)
	}
	return b
}

var errTouched = errors.New("touched folders are stored in a form that this version does not know")

// UnpackTouched is the inverse of PackTouched.
func UnpackTouched(b []byte) (list []Touched, err error) {
	if len(b) == 0 || b[0] != touchedForm {
		return nil, errTouched
	}
	const tail = 1 + 4 + 4 // behind the age
	for b = b[1:]; len(b) > 0; b = b[tail:] {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errTouched
		}
		t := Touched{Folder: string(b[n : n+int(size)])}
		b = b[n+int(size):]
		age, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+tail {
			return nil, errTouched
		}
		b = b[n:]
		t.Age, t.Gone = time.Duration(age), b[0] == 1
		t.UIDValidity, t.UID = binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint32(b[5:])
		list = append(list, t)
	}
	return list, nil
}

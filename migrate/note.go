package migrate

import (
	"encoding/json"
	"fmt"
	"time"

	"imapferry/internal/wire"
	"imapferry/state"
)

// maxIntent bounds an intent, and with it a batch: the note has to fit into state.Folder.Engine.
const maxIntent = 500

// note is what the engine remembers of a folder in state.Folder.Engine. It proves, after a crash, what in the target
// is ours (I4): all UIDs below Done, and of those from Done on exactly what Intent tells.
type note struct {
	Done   uint32   `json:"d,omitempty"` // UIDs below are ours; the target's UIDNEXT when nothing is under way
	Intent []intent `json:"i,omitempty"` // the batch that was about to be committed
	Gap    uint32   `json:"g,omitempty"` // placeholders were about to be made from Done up to here

	// The target when the last pass over the folder was done, to see whether somebody else has changed it since. Dirty means
	// that the engine has begun to write after that.
	Dirty    bool   `json:"w,omitempty"`
	Messages uint32 `json:"m,omitempty"`
	ModSeq   uint64 `json:"s,omitempty"`

	Given bool `json:"v,omitempty"` // the folder was about to be given the source's UIDVALIDITY
	Drop  bool `json:"x,omitempty"` // the folder was about to be deleted

	Bodies uint32 `json:"b,omitempty"` // the bodies of messages below this UID are proven, as far as configured
}

// intent is one message of a batch.
type intent struct {
	UID  uint32
	Date int64 // unix seconds
	Size int64 // of the literal
}

// MarshalJSON writes an intent as three numbers: there are hundreds of them.
func (i intent) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d,%d]", i.UID, i.Date, i.Size), nil
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (i *intent) UnmarshalJSON(b []byte) error {
	var v [3]int64
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	i.UID, i.Date, i.Size = uint32(v[0]), v[1], v[2]
	return nil
}

// placeholder is the message that takes the place of a UID that the source does not use, until it is expunged. Its
// date and size tell it.
const (
	placeholder     = "Subject: imapferry placeholder\r\n\r\n"
	placeholderDate = "01-Jan-1990 00:00:00 +0000"
)

var placeholderTime = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)

func isPlaceholder(m *message) bool {
	return m.size == int64(len(placeholder)) && m.date.Equal(placeholderTime)
}

func placeholderIntent(uid uint32) intent {
	return intent{uid, placeholderTime.Unix(), int64(len(placeholder))}
}

// names reports whether a target folder with the given status is the very one that the engine made and recorded as f.
func (n *note) names(f state.Folder, s status) bool {
	return s.uidValidity == f.TargetUIDValidity || n.Given && s.uidValidity == f.UIDValidity
}

// explains reports whether m, whose UID is not below Done, is ours.
func (n *note) explains(m *message) bool {
	if m.uid < n.Done {
		return true
	}
	if m.uid < n.Gap {
		return isPlaceholder(m)
	}
	if len(n.Intent) == 0 {
		return false
	}
	first, last := n.Done, n.Intent[len(n.Intent)-1].UID
	uid := m.uid
	if uid > last { // the batch came a second time, behind a dead worker's: it is as much ours
		uid -= last - first + 1
	}
	for _, i := range n.Intent {
		if i.UID == uid {
			return i.Date == m.date.Unix() && i.Size == m.size
		}
		if i.UID > uid {
			return isPlaceholder(m) // fills the gap before i
		}
	}
	return false
}

func readNote(f state.Folder) (n note, err error) {
	if len(f.Engine) == 0 {
		return note{}, nil
	}
	if err := json.Unmarshal(f.Engine, &n); err != nil {
		return note{}, fmt.Errorf("read note of %s: %w", wire.Quoted(f.Name), err)
	}
	return n, nil
}

func (n note) bytes() []byte {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // numbers and a bool cannot fail
	}
	return b
}

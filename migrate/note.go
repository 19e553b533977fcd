package migrate

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
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
	Loose  bool     `json:"o,omitempty"` // the messages of Intent come one by one: any of them may be there, and out of place
	Astray bool     `json:"z,omitempty"` // all below Done are ours, but not all at their UIDs: to be copied anew

	// The message with this UID goes alone, because the target has refused it with others behind it; everyMessage: all do.
	Wary uint32 `json:"y,omitempty"`

	// The target when the last pass over the folder was done, to see whether somebody else has changed it since. Dirty means
	// that the engine has begun to write after that.
	Dirty    bool   `json:"w,omitempty"`
	Messages uint32 `json:"m,omitempty"`
	ModSeq   uint64 `json:"s,omitempty"`

	Given bool `json:"v,omitempty"` // the folder was, or was about to be, given the source's UIDVALIDITY
	Drop  bool `json:"x,omitempty"` // the folder was about to be deleted
	Make  bool `json:"c,omitempty"` // the folder, which was not there, was about to be created
	Shell bool `json:"h,omitempty"` // it is there in name only, for the sake of others; nothing else is known of it then

	Bodies uint32 `json:"b,omitempty"` // the bodies of messages below this UID are proven, as far as configured

	carried

	Late *late `json:"l,omitempty"` // what has happened since the switch; the rest is as it was then
}

// everyMessage stands for all messages of a folder.
const everyMessage = math.MaxUint32

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
	return s.uidValidity == f.TargetUIDValidity || n.Given && s.uidValidity == f.UIDValidity || n.Make && s.unused()
}

// explains reports whether m is ours, at the UID that was due.
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
	for _, i := range n.Intent {
		if i.UID == m.uid {
			return i.fits(m)
		}
		if i.UID > m.uid {
			return isPlaceholder(m) // fills the gap before i
		}
	}
	return false
}

// strayed reports whether m, which explains knows nothing of, is ours all the same, at another UID than it was due: it came behind a
// message that was refused, or behind a dead worker's, or with a batch that came a second time.
func (n *note) strayed(m *message) bool {
	if n.Loose {
		return isPlaceholder(m) || slices.ContainsFunc(n.Intent, func(i intent) bool { return i.fits(m) })
	}
	if len(n.Intent) == 0 || m.uid <= n.Intent[len(n.Intent)-1].UID {
		return false
	}
	again := *m
	again.uid -= n.Intent[len(n.Intent)-1].UID - n.Done + 1
	return again.uid >= n.Done && n.explains(&again)
}

// doubts reports whether m, which explains knows, may be a later message of the batch that has strayed there.
func (n *note) doubts(m *message) bool {
	return n.Loose && m.uid >= n.Done && !isPlaceholder(m) &&
		slices.ContainsFunc(n.Intent, func(i intent) bool { return i.UID > m.uid && i.fits(m) })
}

// fits reports whether m may be the message of i, as far as date and size tell.
func (i intent) fits(m *message) bool {
	return i.Size == m.size && (i.Date == m.date.Unix() || !dateKept(i.Date))
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

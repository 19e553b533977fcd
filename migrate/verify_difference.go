package migrate

import (
	"fmt"
	"strings"

	"imapferry/internal/wire"
	"imapferry/state"
)

// maxUIDText bounds the UIDs in one line for people.
const maxUIDText = 1000

// Kind is the attribute in which the two sides differ.
type Kind string

// The kinds of difference.
const (
	KindFolder       Kind = "folder"       // it is on one side only, or cannot be opened
	KindUIDValidity  Kind = "uidvalidity"  // as clients see it
	KindUIDNext      Kind = "uidnext"      // the target's is lower: it will give UIDs again
	KindMissing      Kind = "missing"      // messages of the source that are not in the target
	KindExtra        Kind = "extra"        // messages of the target that are not in the source
	KindStraggler    Kind = "straggler"    // a note: messages that the source has got after the switch and that are dealt with
	KindRemoved      Kind = "removed"      // a note: messages that were in the target at the switch
	KindFlags        Kind = "flags"        // flags and keywords
	KindDate         Kind = "date"         // INTERNALDATE as an instant
	KindBody         Kind = "body"         // the message itself
	KindSubscription Kind = "subscription" // of a folder
	KindSpecialUse   Kind = "special-use"  // RFC 6154
	KindExcluded     Kind = "excluded"     // a note: folders that the configuration leaves out
)

// Difference is one thing in which the target is not as the source.
type Difference struct {
	Kind     Kind   `json:"kind"`
	Note     bool   `json:"note,omitempty"`     // to be expected; it makes no verification fail
	Folder   string `json:"folder,omitempty"`   // raw name; empty if it concerns the account
	UIDs     string `json:"uids,omitempty"`     // the messages concerned, as an IMAP set
	Messages uint64 `json:"messages,omitempty"` // how many these are
	Source   string `json:"source,omitempty"`   // the value there, where there is one
	Target   string `json:"target,omitempty"`
	Text     string `json:"text"` // for people
}

// String returns the difference as one line.
func (d Difference) String() string {
	var b strings.Builder
	if d.Note {
		b.WriteString("note: ")
	}
	if d.Folder != "" {
		fmt.Fprintf(&b, "%s: ", wire.Quoted(d.Folder))
	}
	fmt.Fprintf(&b, "%s: ", d.Kind)
	if d.UIDs != "" {
		fmt.Fprintf(&b, "uid %s: ", d.UIDs)
	}
	b.WriteString(d.Text)
	return b.String()
}

// Summary is what a verification has found as a whole.
type Summary struct {
	User     string         `json:"user"`
	Phase    state.Phase    `json:"phase"`
	Fidelity state.Fidelity `json:"fidelity"`
	Bodies   Verify         `json:"bodies"`
	From     string         `json:"from,omitempty"`
	Complete bool           `json:"complete"` // all folders from From on were compared

	Folders     int    `json:"folders"`  // of the source that were compared
	Messages    uint64 `json:"messages"` // in these; each is one of the next four
	Present     uint64 `json:"present"`  // in the target, under the same UID
	Missing     uint64 `json:"missing"`
	Removed     uint64 `json:"removed"`         // were in the target at the switch
	Stragglers  uint64 `json:"stragglers"`      // arrived after the switch and were brought over
	BodiesRead  uint64 `json:"bodies_compared"` // on both sides
	Differences int    `json:"differences"`
	Notes       int    `json:"notes"`
}

// both tells the two values of a difference.
func both(source, target string) string {
	return fmt.Sprintf("%s in the source, %s in the target", orNone(source), orNone(target))
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

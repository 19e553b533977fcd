package transfer

import (
	"encoding/json"

	"imapferry/state"
)

// form is the number of this form. A reader takes no other: it would lose what it does not know.
const form = 1

// maxLine bounds a line. The longest is that of a folder with a whole note, below 120 KiB.
const maxLine = 1 << 20

// header is the first line.
type header struct {
	Kind  string `json:"imapferry"`
	Form  int    `json:"form"`
	Store string `json:"store"` // its id
}

// kind is that of all files of this package.
const kind = "state"

// line is any other line; exactly one field is there.
type line struct {
	Journal   *journal    `json:"journal,omitempty"`
	User      *state.Kept `json:"user,omitempty"`
	Folder    *folder     `json:"folder,omitempty"`
	Exception *exception  `json:"exception,omitempty"`
	Claim     *claim      `json:"claim,omitempty"`
	End       *end        `json:"end,omitempty"`
}

// folder is a state.Folder as state packs it, so that what a later version adds to it needs nothing here.
type folder struct {
	Name   []byte `json:"name"`
	Packed []byte `json:"packed"`
}

// exception is a state.Exception as state packs it.
type exception struct {
	Key    []byte          `json:"key"`
	Packed json.RawMessage `json:"packed"`
}

// journal is a node of the roster.
type journal struct {
	Node   string `json:"node"`
	Posted bool   `json:"posted,omitempty"`
}

type claim struct {
	Token []byte `json:"token"`
	User  string `json:"user"`
}

// Counts is how much was transferred.
type Counts struct {
	Journals   int64 `json:"journals"`
	Users      int64 `json:"users"`
	Folders    int64 `json:"folders"`
	Exceptions int64 `json:"exceptions"`
	Claims     int64 `json:"claims"`
}

// end is the last line.
type end struct {
	Counts
	SHA256 []byte `json:"sha256"` // of all lines before
}

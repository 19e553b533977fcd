package admin

import (
	"encoding/json"
	"time"

	"imapferry/state"
)

// User is a user's record with what this node adds to it. Its JSON form is that of the record, and has all of
// started, migrated and sessions even if there is nothing to say, so that scripts need not ask whether a field is
// there.
type User struct {
	state.Record
	Sessions   int        `json:"sessions"` // live ones, on the node that answers
	StartedAt  *time.Time `json:"started"`  // null before the first copying
	MigratedAt *time.Time `json:"migrated"` // null before the switch
}

// UnmarshalJSON implements json.Unmarshaler: the times belong to the record as well.
func (u *User) UnmarshalJSON(b []byte) error {
	type plain User
	if err := json.Unmarshal(b, (*plain)(u)); err != nil {
		return err
	}
	if u.StartedAt != nil {
		u.Started = *u.StartedAt
	}
	if u.MigratedAt != nil {
		u.Migrated = *u.MigratedAt
	}
	return nil
}

// Page is some users in order of name.
type Page struct {
	Users []User `json:"users"`
	Next  string `json:"next"` // what to give as after for the following page; "" if there is none
}

// Status is the state of the whole.
type Status struct {
	Version string                `json:"version"`
	Store   Health                `json:"store"`
	Users   map[state.Phase]int64 `json:"users"` // by phase
	Nodes   []state.Node          `json:"nodes"`
	Roster  []string              `json:"roster"`            // nodes with a journal, whether they run or not
	Missing []string              `json:"missing,omitempty"` // of these, whose journals must be posted before records count
}

// Health is whether something answers, and if not, why.
type Health struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// failure is the JSON form of an error.
type failure struct {
	Error string `json:"error"`
}

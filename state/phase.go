package state

import (
	"fmt"
	"slices"
)

// Phase is how far a user is.
type Phase uint8

const (
	Pending   Phase = iota + 1 // served by the source; waits for a worker
	Copying                    // served by the source; bulk copy
	Tailing                    // served by the source; passes until the difference is small, then ready
	Cutover                    // logins wait, sessions are held; last pass, verification, switch
	Migrated                   // served by the target; stragglers are brought over
	Finalized                  // served by the target; nothing runs
	Held                       // served by the source; stopped with a reason, waits for an operator
)

// next holds every legal transition; a Store refuses all others.
var next = map[Phase][]Phase{
	Pending:   {Copying, Held},
	Copying:   {Tailing, Pending, Held},          // Pending: the credentials expired
	Tailing:   {Cutover, Copying, Pending, Held}, // Copying: a folder has to be copied anew
	Cutover:   {Migrated, Tailing},               // Tailing: called off
	Migrated:  {Finalized},
	Finalized: {},
	Held:      {Pending},
}

// Phases lists all phases in the order in which a user passes them.
var Phases = []Phase{Pending, Copying, Tailing, Cutover, Migrated, Finalized, Held}

var phaseNames = map[Phase]string{
	Pending: "pending", Copying: "copying", Tailing: "tailing", Cutover: "cutover",
	Migrated: "migrated", Finalized: "finalized", Held: "held",
}

// CanBecome reports whether a user may go from p to q in one step.
func (p Phase) CanBecome(q Phase) bool {
	return slices.Contains(next[p], q)
}

// OnTarget reports whether the target serves users in phase p, for good.
func (p Phase) OnTarget() bool { return p == Migrated || p == Finalized }

// String returns the word that config, logs, CLI and API use.
func (p Phase) String() string {
	if s, ok := phaseNames[p]; ok {
		return s
	}
	return fmt.Sprintf("phase(%d)", uint8(p))
}

// ParsePhase is the inverse of String.
func ParsePhase(s string) (Phase, error) {
	for p, name := range phaseNames {
		if name == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("unknown phase %q", s)
}

// MarshalText implements encoding.TextMarshaler.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Phase) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePhase(string(text))
	return err
}

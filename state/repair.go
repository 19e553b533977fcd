package state

import "cmp"

// Repaired is the Reason of a record that Repair has changed.
const Repaired = "repaired from a node's journal: the store had lost the switch; the old server is not looked through for late mail until retry"

// CheckRepair returns ErrInvalid for what no store takes of Repair's arguments.
func CheckRepair(rec Record, folders []Folder) error {
	err := cmp.Or(CheckName("user", rec.User), CheckName("attempt", rec.Attempt))
	for _, f := range folders {
		err = cmp.Or(err, f.Check())
	}
	return err
}

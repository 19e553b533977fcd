package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What operators have to do when the store has lost what it had confirmed, in the words of the program's own help.

// snapshot copies what the store holds, as operators do now and then.
func (f *fleet) snapshot() error {
	s, err := f.store.files()
	if err != nil {
		return err
	}
	f.snapshots = append(f.snapshots, s)
	f.snapshots = f.snapshots[max(0, len(f.snapshots)-mostSnapshots):]
	return nil
}

// mostSnapshots is how many are kept.
const mostSnapshots = 5

// adopt gives an emptied store the switches that all journals know: all nodes are stopped, each journal is adopted, all nodes are
// started.
func (f *fleet) adopt() error {
	for _, n := range f.nodes {
		if err := n.stop(f.ctx); err != nil {
			return err
		}
	}
	for _, n := range f.nodes {
		out, err := n.run(f.ctx, "adopt", "--config", f.config)
		if err != nil {
			return fmt.Errorf("adopt: %w: %s", err, out)
		}
		f.note("adopt at node %s: %s", n.name, out)
		f.operators.add("adopt a journal")
	}
	for _, n := range f.nodes {
		n.start()
		f.operators.add("stop and start a node")
	}
	return nil
}

// startOver helps a user who is held because the store has forgotten which mail in the target is the engine's. All of it is, since all
// journals together know who was switched.
func (f *fleet) startOver(u *fleetUser, reason string) {
	if !strings.Contains(reason, "unknown origin") && !strings.Contains(reason, "start over") && !strings.Contains(reason, "changed by somebody else") && !strings.Contains(reason, "is not the one that was copied") {
		return
	}
	f.note("%s is held: %s; starts over", u.name, reason)
	if err := os.RemoveAll(filepath.Join(f.target.MailDir, u.name)); err != nil {
		f.t.Error(err)
	}
	n := f.anyNode()
	if out, err := n.run(f.ctx, "retry", u.name, "--admin", n.admin()); err != nil {
		f.note("retry %s: %v: %s", u.name, err, out)
		return
	}
	f.operators.add("empty a held user's target and retry")
}

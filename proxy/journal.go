package proxy

import (
	"context"
	"errors"
	"fmt"

	"imapferry/state"
	"imapferry/state/journal"
)

// whereabouts is what is known of a user at the moment.
type whereabouts struct {
	state.Record      // empty but for the name if the user is new
	own          bool // it is from this node's journal, because the store cannot be asked, or is older
	turn         int  // of the trust, as of when the store was asked
	folders      []state.Folder
}

// look returns what is known of user. A switch that this node has sent somebody to the target by beats any record that does not tell
// of it, and is enough while the store is out of reach (I3, I7).
func (n *Node) look(ctx context.Context, user string) (whereabouts, error) {
	turn := n.trust.now()
	rec, err := n.ask(ctx, user)
	if err == nil && rec.Phase.OnTarget() {
		return whereabouts{Record: rec, turn: turn}, nil
	}
	if n.journal == nil {
		return whereabouts{Record: rec}, err
	}
	s, noted, bad := n.journal.Find(user)
	switch {
	case bad != nil: // whoever may have been switched is not sent to the source
		return whereabouts{}, errors.Join(err, bad)
	case !noted:
		return whereabouts{Record: rec}, err
	case err != nil:
		n.log.Debug("serve from the journal", "user", user, "err", err)
	default:
		n.repair(ctx, s, rec.Phase)
	}
	return whereabouts{Record: s.Record(), own: true, folders: s.Folders}, nil
}

// repair gives the store back a switch that it has lost. If that fails, the next look tries again.
func (n *Node) repair(ctx context.Context, s journal.Switch, was state.Phase) {
	n.log.Error("the store is older than this node's journal: it did not know that the user was switched", "user", s.User, "phase", was, "migrated", s.Migrated)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := n.store.Repair(ctx, s.Record(), s.Folders); err != nil {
		n.log.Error("repair from the journal", "err", err)
	}
}

// read is look for those who need the record alone.
func (n *Node) read(ctx context.Context, user string) (state.Record, error) {
	k, err := n.look(ctx, user)
	return k.Record, err
}

// ask returns the store's record of user; an unknown user has an empty one.
func (n *Node) ask(ctx context.Context, user string) (state.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rec, err := n.store.Get(ctx, user)
	if errors.Is(err, state.ErrUnknown) {
		return state.Record{User: user}, nil
	}
	if err != nil {
		n.trust.suspect(err)
		return rec, fmt.Errorf("read record of %s: %w", user, err)
	}
	return rec, nil
}

// settle makes sure that the journal has the switch of a user whom the target serves, before anybody acts on it, and returns the
// user's folders: all of them, or those that a view needs.
func (n *Node) settle(ctx context.Context, k whereabouts, all bool) ([]state.Folder, error) {
	if k.own {
		return k.folders, nil
	}
	var folders []state.Folder
	if all || k.NeedsView() {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		var err error
		if folders, err = n.store.Folders(ctx, k.User); err != nil {
			return nil, fmt.Errorf("read folders of %s: %w", k.User, err)
		}
	}
	if n.journal == nil {
		return folders, nil
	}
	return folders, n.trust.within(k.turn, func() error { return n.journal.Note(journal.Of(k.Record, folders)) })
}

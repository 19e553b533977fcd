package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"imapferry/state/journal"
)

const adoptUsage = `usage: imapferry adopt --config FILE

Makes this node's journal one of the store that the configuration names, and gives the store the switches that the
journal knows. That is for a store that was emptied or replaced and whose content cannot be restored: a node refuses
to start then. Stop all nodes, run this on each, and start them. Logins of users whom a node's journal does not know are
refused until all have started that the journals know of.

  --config FILE  the configuration, TOML
`

// adoptWithin bounds adopt: some milliseconds for each user.
const adoptWithin = 2 * time.Minute

func adopt(ctx context.Context, c *call) (err error) {
	file := c.flags.String("config", "", "")
	cfg, err := c.config(file)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, cfg.State, newLog(c.stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	own, err := openJournal(cfg.State.journalPath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, adoptWithin)
	defer cancel()
	repaired, err := own.Post(ctx, store)
	if err != nil {
		return err
	}
	if err := own.Adopt(store.ID()); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%d users who had been switched were unknown to the store, and are known now\n", repaired)
	return nil
}

// foreignJournal says what to do about a journal of another store.
func foreignJournal(err error, path string) error {
	if !errors.Is(err, journal.ErrForeign) {
		return err
	}
	return fmt.Errorf("%w (%s): restore that store if this one was emptied; if it is to take its place, see imapferry help adopt; if the two have nothing to do with each other, give this node another state.journal", err, path)
}

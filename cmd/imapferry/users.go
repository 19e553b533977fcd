package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"imapferry/state"
	"imapferry/state/admin"
)

const usersUsage = `usage: imapferry users [--phase PHASE] [--admin ADDR] [--json]

Lists users in order of name, all or those in one phase: pending, copying, tailing, cutover, migrated, finalized or held.

  --phase PHASE  only users in this phase
` + flagsUsage

// pageSize is how many users are asked for at once.
const pageSize = 500

func users(ctx context.Context, c *call) error {
	o := operate(c)
	name := c.flags.String("phase", "", "")
	if err := c.parseNone(); err != nil {
		return err
	}
	var phase state.Phase
	if *name != "" {
		var err error
		if phase, err = state.ParsePhase(*name); err != nil {
			return misused{fmt.Errorf("--phase: %w; want one of %v", err, state.Phases)}
		}
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := allUsers(ctx, client, phase)
	if err != nil {
		return err
	}
	if *o.asJSON {
		return o.printJSON(all)
	}
	return o.printUsers(all)
}

// allUsers reads page by page; each is small, so a node is never busy for long with one of them.
func allUsers(ctx context.Context, client *admin.Client, phase state.Phase) ([]admin.User, error) {
	all := []admin.User{} // as JSON an empty list, not null
	for after := ""; ; {
		page, err := client.Users(ctx, phase, after, pageSize)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Users...)
		if after = page.Next; after == "" {
			return all, nil
		}
	}
}

func (o operator) printUsers(all []admin.User) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(o.stdout, "no users")
		return err
	}
	tw := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "USER\tPHASE\tFIDELITY\tDONE\tMESSAGES\tEXCEPTIONS\tTRIES\tREASON")
	for _, u := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", u.User, u.Phase, or(string(u.Fidelity), "-"),
			share(u.Progress), u.Messages, u.Exceptions, u.Attempts, u.Reason)
	}
	return tw.Flush()
}

package main

import (
	"context"

	"imapferry/state/admin"
)

const finalizeUsage = `usage: imapferry finalize USER... [--force] [--admin ADDR] [--json]

Ends all work on migrated users: nobody looks for stragglers any more, their passwords are forgotten, and the accounts at
the source may be deleted. It is refused while mail may be left there: if nobody has looked for stragglers within two
hours, if one was found or the user switched within a day, or if some could not be brought over.

  --force       finalize all the same
` + flagsUsage

func finalize(ctx context.Context, c *call) error {
	force := c.flags.Bool("force", false, "")
	return forEachUser(ctx, c, func(a *admin.Client, ctx context.Context, user string) (admin.User, error) {
		return a.Finalize(ctx, user, *force)
	})
}

package main

import (
	"context"

	"imapferry/state/admin"
)

const retryUsage = `usage: imapferry retry USER... [--park] [--admin ADDR] [--json]

Takes users out of held, or makes their next try due now; of migrated users, the next look for stragglers. What kept
them is looked at anew.

  --park        move mail that somebody else has put into the target aside, into folders whose names begin with
                imapferry-parked-. It comes back into its folders after the switch.
` + flagsUsage

func retry(ctx context.Context, c *call) error {
	park := c.flags.Bool("park", false, "")
	return forEachUser(ctx, c, func(a *admin.Client, ctx context.Context, user string) (admin.User, error) {
		if *park {
			return a.RetryPark(ctx, user)
		}
		return a.Retry(ctx, user)
	})
}

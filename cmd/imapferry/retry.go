package main

import (
	"context"

	"imapferry/state/admin"
)

const retryUsage = `usage: imapferry retry USER... [--admin ADDR] [--json]

Takes users out of held, or makes their next try due now. What kept them is looked at anew.

` + flagsUsage

func retry(ctx context.Context, c *call) error {
	return forEachUser(ctx, c, (*admin.Client).Retry)
}

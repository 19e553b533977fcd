package main

import (
	"context"

	"imapferry/state/admin"
)

const cutoverUsage = `usage: imapferry cutover USER... [--admin ADDR] [--json]

Lets users be switched as soon as both sides are proven equal, whatever migrate.cutover and migrate.cutover_windows say: at once
who is ready, the others when they are. Sessions that are open then are kept waiting for a moment, and go on. It holds until the user
is switched, also if a try is called off in between or imapferry is restarted.

` + flagsUsage

func cutover(ctx context.Context, c *call) error { return forEachUser(ctx, c, (*admin.Client).Cutover) }

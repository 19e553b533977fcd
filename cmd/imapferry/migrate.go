package main

import (
	"context"

	"imapferry/state/admin"
)

const migrateUsage = `usage: imapferry migrate USER... [--admin ADDR] [--json]

Makes users known and due now, without waiting for a login. Where a server is entered with login = "passthrough", a
user's move still begins with the user's next login, since it needs the password, and never with on_login = false.

` + flagsUsage

func migrateUsers(ctx context.Context, c *call) error {
	return forEachUser(ctx, c, (*admin.Client).Migrate)
}

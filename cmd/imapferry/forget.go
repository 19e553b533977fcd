package main

import (
	"context"
	"errors"
	"fmt"

	"imapferry/state/admin"
)

const forgetUsage = `usage: imapferry forget NODE... [--admin ADDR] [--json]

Has nobody wait any more for the journals of nodes that are gone for good. After Redis was started or failed over it may be
older than it was, so its records count when every node that ever ran has posted its journal; imapferry status names those that are
missing. Start them if you can. What a forgotten node's journal alone knew is lost: a user who was switched, and whom the record
takes for one who was not, is served by the old server again. A forgotten node that is started all the same posts its journal then.

` + flagsUsage

func forget(ctx context.Context, c *call) error {
	o := operate(c)
	names, err := c.parse()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return misused{errors.New("name at least one node; `imapferry status` names those that are missing")}
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	done := []admin.Forgotten{}
	for _, name := range names {
		f, e := client.Forget(ctx, name)
		if e != nil {
			fmt.Fprintf(c.stderr, "imapferry forget: %v\n", e)
			err = errFailed
			continue
		}
		done = append(done, f)
	}
	if *o.asJSON {
		return errors.Join(o.printJSON(done), err)
	}
	for _, f := range done {
		fmt.Fprintf(o.stdout, "%s: forgotten\n", f.Node)
	}
	return err
}

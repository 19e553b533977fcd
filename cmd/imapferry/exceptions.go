package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"imapferry/state"
	"imapferry/state/admin"
)

const exceptionsUsage = `usage: imapferry exceptions USER [--admin ADDR] [--json]

Lists every message, folder and attribute of one user that could not be carried over as it was: where it is, the class
that migrate.allow may name, and what the server said. The list is kept after the switch. Then it also has stragglers
that could not be brought over so far; each look for stragglers tries them again.

` + flagsUsage

func exceptions(ctx context.Context, c *call) error {
	o := operate(c)
	names, err := c.parse()
	if err != nil {
		return err
	}
	if len(names) != 1 || names[0] == "" {
		return misused{fmt.Errorf("name one user; `imapferry help exceptions` shows the use")}
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := allExceptions(ctx, client, names[0])
	if err != nil {
		return err
	}
	if *o.asJSON {
		return o.printJSON(all)
	}
	return o.printExceptions(all)
}

// allExceptions reads page by page; the counts are those of the last one.
func allExceptions(ctx context.Context, client *admin.Client, user string) (admin.Exceptions, error) {
	list := []state.Exception{} // as JSON an empty list, not null
	for after := ""; ; {
		page, err := client.Exceptions(ctx, user, after)
		if err != nil {
			return page, err
		}
		list = append(list, page.Exceptions...)
		if after = page.Next; after == "" {
			page.Exceptions = list
			return page, nil
		}
	}
}

func (o operator) printExceptions(all admin.Exceptions) error {
	if len(all.Counts) == 0 {
		_, err := fmt.Fprintln(o.stdout, "no exceptions")
		return err
	}
	tw := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FOLDER\tUID\tCLASS\tMESSAGE-ID\tTEXT")
	for _, e := range all.Exceptions {
		uid := "-"
		if e.UID != 0 {
			uid = fmt.Sprint(e.UID)
		}
		fmt.Fprintf(tw, "%q\t%s\t%s\t%q\t%s\n", e.Folder, uid, e.Class, e.MessageID, e.Text)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var sum int64
	for _, class := range slices.Sorted(maps.Keys(all.Counts)) {
		fmt.Fprintf(o.stdout, "%s: %d\n", class, all.Counts[class])
		sum += all.Counts[class]
	}
	if sum > int64(len(all.Exceptions)) {
		fmt.Fprintf(o.stdout, "only %d are listed; the others were counted, some perhaps more than once\n", len(all.Exceptions))
	}
	return nil
}

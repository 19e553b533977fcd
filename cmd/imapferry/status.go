package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"imapferry/state"
	"imapferry/state/admin"
)

const statusUsage = `usage: imapferry status [USER] [--admin ADDR] [--json]

Shows how far one user is and what the user waits for. Without USER it shows how many users are in each phase, and
which nodes run, and fails if the store does not answer, or its records do not count because journals are missing.

` + flagsUsage

func status(ctx context.Context, c *call) error {
	o := operate(c)
	names, err := c.parse()
	if err != nil {
		return err
	}
	if len(names) > 1 {
		return misused{fmt.Errorf("name one user at a time; `imapferry users` lists many")}
	}
	if len(names) == 1 && names[0] == "" {
		return misused{errEmptyName}
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if len(names) == 0 {
		return o.showAll(ctx, client)
	}
	return o.showUser(ctx, client, names[0])
}

func (o operator) showUser(ctx context.Context, client *admin.Client, name string) error {
	u, err := client.User(ctx, name)
	if err != nil {
		return err
	}
	if *o.asJSON {
		return o.printJSON(u)
	}
	return o.printUser(u, time.Now())
}

// printUser leaves out what there is nothing to say of: the fewer lines, the sooner the one that matters is found.
func (o operator) printUser(u admin.User, now time.Time) error {
	tw := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	line := func(worth bool, name, format string, args ...any) {
		if worth {
			fmt.Fprintf(tw, "%s\t"+format+"\n", append([]any{name}, args...)...)
		}
	}
	line(true, "user", "%s", u.User)
	line(true, "phase", "%s", u.Phase)
	line(u.Reason != "", "reason", "%s", u.Reason)
	line(u.Fidelity != "", "fidelity", "%s", u.Fidelity)
	line(u.Messages > 0, "messages", "%d of %d (%s), %s, in %d folders", u.MessagesDone, u.Messages, share(u.Progress), size(u.BytesDone), u.Folders)
	line(u.Exceptions > 0, "exceptions", "%d; `imapferry exceptions %s` lists them", u.Exceptions, u.User)
	line(u.Excluded > 0, "left out", "%d folders, by migrate.exclude or because others own them", u.Excluded)
	line(u.Attempts > 0, "failed tries", "%d; next %s", u.Attempts, when(u.NextTry, now))
	line(u.Phase == state.Tailing && u.Attempts == 0 && !u.NextTry.IsZero(), "next look", "%s", when(u.NextTry, now))
	line(u.Released, "released", "switched as soon as both sides are equal, whatever the policy says")
	line(u.Owner != "", "worker", "%s, until %s", u.Owner, when(u.LeaseUntil, now))
	line(u.Phase == state.Cutover, "deadline", "%s", when(u.Deadline, now))
	line(u.StartedAt != nil, "started", "%s", whenever(u.StartedAt, now))
	line(u.MigratedAt != nil, "migrated", "%s; sessions waited %d ms, %d moved, %s", whenever(u.MigratedAt, now), u.HoldMS, u.Moved, ended(u.Record))
	line(u.Phase.OnTarget() && u.LastStraggler.IsZero(), "stragglers", "none so far")
	line(u.Phase.OnTarget() && !u.LastStraggler.IsZero(), "stragglers", "%d brought over, the last %s; %d left", u.Stragglers, when(u.LastStraggler, now), u.StragglersLeft)
	line(u.Phase == state.Migrated, "last pass", "%s; next %s", when(u.LastPass, now), next(u.NextTry, now))
	line(true, "sessions", "%d on this node", u.Sessions)
	return tw.Flush()
}

// ended tells how many sessions the switch ended, and why: the most frequent reason first. Of sessions that were counted by an
// older version no reason is known.
func ended(rec state.Record) string {
	text := fmt.Sprintf("%d ended", rec.Disconnected)
	if len(rec.Ended) == 0 {
		return text
	}
	reasons := slices.SortedFunc(maps.Keys(rec.Ended), func(a, b string) int {
		return cmp.Or(cmp.Compare(rec.Ended[b], rec.Ended[a]), cmp.Compare(a, b))
	})
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%s %d", reason, rec.Ended[reason])
	}
	return text + " (" + strings.Join(reasons, ", ") + ")"
}

// next is when for a straggler pass. One whose time has come waits for a worker.
func next(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case t.Before(now):
		return "due; with login = \"passthrough\" it comes with the user's next login"
	}
	return when(t, now)
}

func (o operator) showAll(ctx context.Context, client *admin.Client) error {
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if *o.asJSON {
		err = o.printJSON(s)
	} else {
		err = o.printStatus(s)
	}
	if err == nil && !s.Store.OK {
		err = errFailed // so that a health check sees it
	}
	return err
}

func (o operator) printStatus(s admin.Status) error {
	tw := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
	store := "ok"
	if !s.Store.OK {
		store = "FAILS: " + s.Store.Error
	}
	fmt.Fprintf(tw, "version\t%s\nstore\t%s\n", s.Version, store)
	for _, n := range s.Nodes {
		fmt.Fprintf(tw, "node\t%s (%s)\n", n.Name, n.Incarnation)
	}
	if len(s.Missing) > 0 {
		fmt.Fprintf(tw, "missing\tthe journals of %s; start these nodes, or see imapferry help forget\n", strings.Join(s.Missing, ", "))
	}
	var all int64
	for _, p := range state.Phases {
		fmt.Fprintf(tw, "%s\t%d\n", p, s.Users[p])
		all += s.Users[p]
	}
	fmt.Fprintf(tw, "all users\t%d\n", all)
	return tw.Flush()
}

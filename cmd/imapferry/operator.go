package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"imapferry/state"
	"imapferry/state/admin"
)

// defaultAdmin is where serve listens for operators and where the other commands look for it.
const defaultAdmin = "127.0.0.1:9143"

// operator is what all commands that talk to the admin API share.
type operator struct {
	*call
	admin  *string
	asJSON *bool
}

// flagsUsage describes the flags of every operator command.
const flagsUsage = `  --admin ADDR  the admin API: host:port, http://host:port or unix:/path (default: IMAPFERRY_ADMIN, else ` + defaultAdmin + `)
  --json        print JSON
`

func operate(c *call) operator {
	return operator{c, c.flags.String("admin", "", ""), c.flags.Bool("json", false, "")}
}

// client returns the client for the address of the flag, the environment or the default, in this order.
func (o operator) client() (*admin.Client, error) {
	addr := *o.admin
	if addr == "" {
		addr = os.Getenv("IMAPFERRY_ADMIN")
	}
	if addr == "" {
		addr = defaultAdmin
	}
	client, err := admin.NewClient(addr)
	if err != nil {
		return nil, misused{fmt.Errorf("--admin: %w", err)}
	}
	return client, nil
}

func (o operator) printJSON(v any) error {
	enc := json.NewEncoder(o.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// share tells how much of a user's messages is done.
func share(p state.Progress) string {
	if p.Messages == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", min(100, p.MessagesDone*100/p.Messages))
}

func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 4 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGTP"[i])
}

// when shows a moment with its distance from now, by which people judge it.
func when(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t).Round(time.Second)
	if d < 0 {
		return fmt.Sprintf("%s (in %s)", t.UTC().Format(time.RFC3339), -d)
	}
	return fmt.Sprintf("%s (%s ago)", t.UTC().Format(time.RFC3339), d)
}

// whenever is when for a moment that may not have come.
func whenever(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return when(*t, now)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// errEmptyName is mostly a variable of a script that was never set.
var errEmptyName = errors.New("a user's name is empty")

// forEachUser does one thing to every user named. One that cannot be done does not keep the others from it.
func forEachUser(ctx context.Context, c *call, do func(*admin.Client, context.Context, string) (admin.User, error)) error {
	o := operate(c)
	names, err := c.parse()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return misused{fmt.Errorf("name at least one user; `imapferry help %s` shows the use", c.flags.Name())}
	}
	if slices.Contains(names, "") {
		return misused{errEmptyName}
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	done := []admin.User{} // as JSON an empty list, not null
	for _, name := range names {
		u, e := do(client, ctx, name)
		if e != nil {
			fmt.Fprintf(c.stderr, "imapferry %s: %v\n", c.flags.Name(), e)
			err = errFailed
			continue
		}
		done = append(done, u)
	}
	if *o.asJSON {
		return errors.Join(o.printJSON(done), err)
	}
	for _, u := range done {
		fmt.Fprintf(o.stdout, "%s: %s\n", u.User, u.Phase)
	}
	return err
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"time"

	"imapferry/migrate"
	"imapferry/state/admin"
)

const verifyUsage = `usage: imapferry verify USER [--bodies all|sample|none] [--from FOLDER] [--admin ADDR] [--json]

Compares source and target of one user as a client sees them, and prints every difference, one line each: folders,
UIDVALIDITY, UIDs, flags, dates, subscriptions, special uses, bodies. It only reads, and may be run at any time: before
the switch it shows what is left to do, after it whether all that the source holds is in the target. What the user has
changed in the target since the switch is printed as a note. Exit code 0: no difference; 1: some, or it could not be done.

It needs login = "master" on both servers, or a password with which the user has logged in through this node since it was
started; it is kept until the user is finalized or the grace period for stragglers is over.

  --bodies WHICH  compare all bodies, a few of each folder (sample, the default), or none
  --from FOLDER   begin with this folder, to go on where a run was cut off
` + flagsUsage

// newsEvery is how often a long comparison tells where it is.
const newsEvery = 5 * time.Second

func verify(ctx context.Context, c *call) error {
	o := operate(c)
	bodies := c.flags.String("bodies", "", "")
	from := c.flags.String("from", "", "")
	names, err := c.parse()
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return misused{fmt.Errorf("name one user; `imapferry help verify` shows the use")}
	}
	if _, err := bodiesOf(*bodies); err != nil {
		return misused{fmt.Errorf("--bodies %q: use all, sample or none", *bodies)}
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt) // so that it can say how far it has come
	defer stop()
	return o.verify(ctx, client, names[0], admin.VerifyRequest{Bodies: *bodies, From: *from})
}

func (o operator) verify(ctx context.Context, client *admin.Client, user string, ask admin.VerifyRequest) error {
	r := &verifyReport{operator: o, told: time.Now(), Differences: []migrate.Difference{}, Notes: []migrate.Difference{}} // as JSON empty lists, not null
	err := client.Verify(ctx, user, ask, r.take)
	if err == nil && r.Summary == nil {
		err = fmt.Errorf("the answer of %s is not complete", user)
	}
	if err != nil && r.at != nil {
		err = fmt.Errorf("%w; not all folders were compared: go on with --from %q", err, r.at.Folder)
	}
	if e := r.end(err); e != nil {
		return e
	}
	if err == nil && r.Summary.Differences > 0 {
		return errFailed
	}
	return err
}

// verifyReport is what a verification has found so far, and its JSON form.
type verifyReport struct {
	operator `json:"-"`
	at       *verifyAt
	told     time.Time // when anything was printed last

	*migrate.Summary
	Differences []migrate.Difference `json:"differences"`
	Notes       []migrate.Difference `json:"notes"`
	Error       string               `json:"error,omitempty"`
}

// take prints a line as it comes, or keeps it for the one JSON object.
func (r *verifyReport) take(text json.RawMessage) error {
	var line verifyLine
	if err := json.Unmarshal(text, &line); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	switch {
	case line.Summary != nil:
		r.Summary = line.Summary
	case line.At != nil:
		r.at = line.At
		if time.Since(r.told) > newsEvery {
			fmt.Fprintf(r.stderr, "at %q, folder %d of %d\n", r.at.Folder, r.at.Number, r.at.Of)
			r.told = time.Now()
		}
	case line.Difference != nil && !*r.asJSON:
		fmt.Fprintln(r.stdout, *line.Difference)
		r.told = time.Now()
	case line.Difference != nil && line.Difference.Note:
		r.Notes = append(r.Notes, *line.Difference)
	case line.Difference != nil:
		r.Differences = append(r.Differences, *line.Difference)
	}
	return nil
}

// end prints the summary, also of a comparison that err has ended.
func (r *verifyReport) end(err error) error {
	if r.Summary == nil {
		return nil
	}
	if *r.asJSON {
		if err != nil {
			r.Error = err.Error()
		}
		return r.printJSON(r)
	}
	s := r.Summary
	fmt.Fprintf(r.stdout, "%s, %s: %d folders compared (%d bodies): %d differences, %d notes\n", s.User, s.Phase, s.Folders, s.BodiesRead, s.Differences, s.Notes)
	fmt.Fprintf(r.stdout, "%d messages in the source: %d in the target, %d missing", s.Messages, s.Present, s.Missing)
	if s.Phase.OnTarget() {
		fmt.Fprintf(r.stdout, ", %d were there at the switch and have been deleted or moved since, %d stragglers brought over", s.Removed, s.Stragglers)
	}
	_, err = fmt.Fprintln(r.stdout)
	return err
}

package migrate

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"imapferry/internal/testbed"
	"imapferry/internal/wire"
	"imapferry/state"
)

// BenchmarkHuge moves a user with 2,000 folders and 200,000 messages, and one with a tenth of that, from a server with CONDSTORE
// and from one without, and prints how long sessions are held beside the floor of that. A user who cannot be moved within the
// default budget must be told why; then the budget is raised as the reason says, and that must do. `make bench-huge` runs it.
func BenchmarkHuge(b *testing.B) {
	for _, source := range []string{"dovecot", "courier"} {
		for _, folders := range []int{200, 2000} {
			b.Run(fmt.Sprintf("source=%s/folders=%d", source, folders), func(b *testing.B) { benchHuge(b, source, folders) })
		}
	}
}

// maildirs is a server whose Maildirs the benchmark fills itself.
type maildirs interface {
	IMAP() string
	PutFile(user, folder string, m testbed.Mail) error
}

const hugeFolder = 100 // messages in each

func benchHuge(b *testing.B, source string, folders int) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	bed := testbed.ForTest(b)
	testbed.Need(b, "dovecot", "doveadm")
	opt := testbed.DovecotOptions{Doveadm: true}
	var src maildirs
	var err error
	if source == "courier" {
		opt.Separator, opt.Prefix = ".", "INBOX."
		src, err = bed.Courier(testbed.CourierOptions{})
	} else {
		opt.Separator = "/"
		src, err = bed.Dovecot(opt)
	}
	if err != nil {
		b.Fatal(err)
	}
	dst, err := bed.Dovecot(opt)
	if err != nil {
		b.Fatal(err)
	}
	if err := fillHuge(ctx, src, hugeFolders(folders, opt.Prefix, opt.Separator)); err != nil {
		b.Fatal(err)
	}
	t := newFerry(ctx, b, way{}, src.IMAP(), dst, dst.IMAP()).(*ferry)
	defer t.close()
	defer t.engine.Stop()
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer tw.Flush()
	fmt.Fprintf(tw, "\n%s, %d messages in %d folders\ttime\t\n", source, folders*hugeFolder, folders)
	timed := func(what string, do func() error) {
		b.Helper()
		began := time.Now()
		if err := do(); err != nil {
			b.Fatalf("%s: %v", what, err)
		}
		fmt.Fprintf(tw, "%s\t%s\t\n", what, time.Since(began).Round(time.Millisecond))
	}
	forgetPeak()
	timed("first copy and proof", t.copy)
	timed("nothing changed", t.copy)
	rec := t.switchUser(b)
	for rec.Phase == state.Held {
		fmt.Fprintf(tw, "held with hold_budget %s: %s\t\t\n", t.engine.cfg.HoldBudget, rec.Reason)
		t.engine.Stop()
		t.engine.cfg.HoldBudget = advised(b, rec.Reason)
		if _, err := t.store.Retry(ctx, "alice"); err != nil {
			b.Fatal(err)
		}
		rec = t.switchUser(b)
	}
	fmt.Fprintf(tw, "hold\t%s\t\n", time.Duration(rec.HoldMS)*time.Millisecond)
	timed("floor of the hold", func() error { return floorOfHold(ctx, src.IMAP(), dst.IMAP()) })
	fmt.Fprintf(tw, "peak memory of this process\t%s\t\n", peakMemory())
	b.ReportMetric(float64(rec.HoldMS), "hold-ms")
	b.ReportMetric(0, "ns/op")
}

// switchUser lets the engine go on until the user is on the target, or held.
func (t *ferry) switchUser(b *testing.B) state.Record {
	b.Helper()
	t.engine.Start(t.ctx)
	t.engine.Offer("alice", "pass")
	for {
		rec, err := t.store.Get(t.ctx, "alice")
		if err != nil {
			b.Fatal(err)
		}
		if rec.Phase == state.Migrated || rec.Phase == state.Held {
			return rec
		}
		select {
		case <-t.ctx.Done():
			b.Fatalf("neither migrated nor held: %+v", rec)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// advised is the hold_budget that a held user's reason names.
func advised(b *testing.B, reason string) time.Duration {
	b.Helper()
	m := regexp.MustCompile(`raise migrate\.hold_budget to (\S+),`).FindStringSubmatch(reason)
	if m == nil {
		b.Fatalf("held, without a hold_budget that would do: %s", reason)
	}
	budget, err := time.ParseDuration(m[1])
	if err != nil {
		b.Fatal(err)
	}
	return budget
}

// hugeFolders is a tree of branches with 49 folders below each.
func hugeFolders(n int, prefix, sep string) []string {
	names := []string{wire.Inbox}
	for i := range n - 1 {
		branch := fmt.Sprintf("%sClient %02d", prefix, i/50)
		if i%50 > 0 {
			branch += fmt.Sprintf("%sCase %02d", sep, i%50)
		}
		names = append(names, branch)
	}
	return names
}

// fillHuge makes the folders by IMAP and puts the messages into their Maildirs.
func fillHuge(ctx context.Context, src maildirs, folders []string) error {
	c, err := testbed.Login(ctx, src.IMAP(), "alice", "pass")
	if err != nil {
		return err
	}
	defer c.Close()
	for _, f := range folders[1:] {
		if _, err := c.Do("CREATE ", testbed.Quote(f)); err != nil {
			return err
		}
	}
	if _, err := c.Do("SELECT INBOX"); err != nil { // makes its Maildir
		return err
	}
	var g errgroup.Group
	g.SetLimit(2)
	for i, f := range folders {
		g.Go(func() error {
			for n := range hugeFolder {
				if err := src.PutFile("alice", f, hugeMail(i*hugeFolder+n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range folders { // the account is one in use: its server has given all messages their UIDs
		if _, err := c.Do("SELECT ", testbed.Quote(f)); err != nil {
			return err
		}
	}
	return c.Logout()
}

// hugeMail is a message of 500 to 1,000 bytes, with line ends as Maildirs keep them.
func hugeMail(n int) testbed.Mail {
	const line = "Nothing but a line to fill the message, as there are so many in an archive.\n"
	at := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * 20 * time.Minute)
	return testbed.Mail{
		Flags: []string{"", `\Seen`, `\Seen \Answered`, `\Flagged`}[n%4],
		Date:  at.Format("02-Jan-2006 15:04:05 -0700"),
		Body: fmt.Sprintf("From: Client <client%d@example.org>\nTo: alice@example.com\nDate: %s\nSubject: Case %d\nMessage-ID: <%d@example.org>\n\n", n%50, at.Format(time.RFC1123Z), n, n) +
			strings.Repeat(line, 4+n%7),
	}
}

// floorOfHold is what nobody can do without under the hold: a login on both sides, the status of all folders of the source,
// and a folder of the target opened.
func floorOfHold(ctx context.Context, from, to string) error {
	src, err := testbed.Login(ctx, from, "alice", "pass")
	if err != nil {
		return err
	}
	defer src.Close()
	if err := src.StatusAll(); err != nil {
		return err
	}
	dst, err := testbed.Login(ctx, to, "alice", "pass")
	if err != nil {
		return err
	}
	defer dst.Close()
	_, err = dst.Do("SELECT INBOX")
	return err
}

// forgetPeak lets peakMemory begin anew (proc(5), clear_refs).
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) }

// peakMemory is the most that the process has had in memory at once, as Linux tells it.
func peakMemory() string {
	text, _ := os.ReadFile("/proc/self/status")
	return strings.Join(strings.Fields(between(string(text), "VmHWM:", "\n")), " ")
}

package migrate

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"imapferry/internal/testbed"
)

// BenchmarkMigrate copies one generated mailbox between two Dovecots by imapferry, by `doveadm backup -R` over imapc,
// by mbsync, and by a pipe that does nothing but FETCH and MULTIAPPEND (the floor), taking turns, and prints each
// tool's median beside the floor's and doveadm's. Then the same with nothing changed and with one message in a
// hundred changed. `make bench-migrate` runs it.
func BenchmarkMigrate(b *testing.B) {
	for _, missing := range []float64{0.1, 0.3} {
		b.Run(fmt.Sprintf("missing=%g", missing), func(b *testing.B) { benchMigrate(b, missing) })
	}
}

// benchMailbox is what all tools copy: about 300 MB.
func benchMailbox(missing float64) testbed.BulkSpec {
	return testbed.BulkSpec{Seed: 1, Messages: 10_000, Folders: 20, Missing: missing}
}

const benchRounds = 3

// trial is one tool's work on a target of its own.
type trial interface {
	copy() error // the first copy, and later passes
	close()
}

func benchMigrate(b *testing.B, missing float64) {
	testbed.Need(b, "dovecot", "doveadm", "mbsync")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	src := benchServer(b, 0)
	stats, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", benchMailbox(missing))
	if err != nil {
		b.Fatal(err)
	}
	tools := []struct {
		name string
		open func(dst *testbed.Dovecot) trial
	}{
		{"floor", func(dst *testbed.Dovecot) trial { return &pipe{ctx, src.IMAP(), dst.IMAP(), 2} }},
		{"doveadm", func(dst *testbed.Dovecot) trial { return &backup{ctx, dst} }},
		{"mbsync", func(dst *testbed.Dovecot) trial { return newMbsync(ctx, b, src, dst) }},
		{"imapferry", func(dst *testbed.Dovecot) trial { return newFerry(ctx, b, src, dst) }},
	}
	times := map[string]map[string][]time.Duration{"first copy": {}, "nothing changed": {}, "1% changed": {}}
	for range benchRounds {
		for _, tool := range tools {
			t := tool.open(benchServer(b, portOf(src.IMAP())))
			for _, what := range []string{"first copy", "nothing changed", "1% changed"} {
				if tool.name == "floor" && what != "first copy" {
					continue
				}
				if what == "1% changed" {
					change(ctx, b, src)
				}
				began := time.Now()
				if err := t.copy(); err != nil {
					b.Fatalf("%s, %s: %v", tool.name, what, err)
				}
				times[what][tool.name] = append(times[what][tool.name], time.Since(began))
			}
			t.close()
		}
	}
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\n%d messages, %d MB, %.0f%% of UIDs missing\ttool\tmedian\t/ doveadm\t/ floor\t\n", stats.Messages, stats.Bytes>>20, missing*100)
	for _, what := range []string{"first copy", "nothing changed", "1% changed"} {
		for _, tool := range tools {
			if m := median(times[what][tool.name]); m > 0 {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%.2f\t%.2f\t\n", what, tool.name, m.Round(time.Millisecond), ratio(m, median(times[what]["doveadm"])), ratio(m, median(times["first copy"]["floor"])))
			}
		}
	}
	tw.Flush()
	b.ReportMetric(ratio(median(times["first copy"]["imapferry"]), median(times["first copy"]["doveadm"])), "copy/doveadm")
	b.ReportMetric(ratio(median(times["first copy"]["imapferry"]), median(times["first copy"]["floor"])), "copy/floor")
	b.ReportMetric(0, "ns/op")
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func portOf(addr string) (port int) {
	_, p, _ := net.SplitHostPort(addr)
	fmt.Sscan(p, &port)
	return port
}

// benchServer is a Maildir server that writes without waiting for the disk, and can read from imapc.
func benchServer(b *testing.B, imapc int) *testbed.Dovecot {
	d, err := testbed.ForTest(b).Dovecot(testbed.DovecotOptions{Doveadm: true, ImapcPort: imapc, ImapcSSL: "no",
		ExtraConfig: "mail_fsync = never\nmail_prefetch_count = 20\n"})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// change flags, expunges and adds one message in a hundred, over all folders.
func change(ctx context.Context, b *testing.B, d *testbed.Dovecot) {
	c, err := testbed.Login(ctx, d.IMAP(), "alice", "pass")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for i := range 20 {
		folder := "INBOX"
		if i > 0 {
			folder = fmt.Sprintf("Bulk %02d", i)
		}
		for _, cmd := range []string{`SELECT "` + folder + `"`, `STORE 1:2 +FLAGS (\Flagged)`, `STORE 3 +FLAGS (\Deleted)`, "EXPUNGE", `COPY 4:5 "` + folder + `"`} {
			if _, err := c.Do(cmd); err != nil {
				b.Fatalf("%s: %v", cmd, err)
			}
		}
	}
}

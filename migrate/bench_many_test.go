package migrate

import (
	"context"
	"fmt"
	"os"
	"testing"
	"text/tabwriter"
	"time"

	"imapferry/internal/testbed"
)

// BenchmarkManyFolders moves an account of many small folders as far as the cutover by imapferry, and copies it by
// `doveadm backup -R`, and tells where the time goes: wall time of each pass, and the CPU time that both servers and this process
// have spent in it. What the round under the hold does at least stands beside the pass with nothing changed, as its floor.
func BenchmarkManyFolders(b *testing.B) {
	testbed.Need(b, "dovecot", "doveadm")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	spec := testbed.BulkSpec{Seed: 1, Messages: 20_000, Folders: 2000, MedianSize: 1000, Missing: 0.1}
	src, dst := benchServer(b, way{}, ""), benchServer(b, way{}, "")
	if _, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", spec); err != nil {
		b.Fatal(err)
	}
	peer := benchServer(b, way{}, src.IMAP())
	t := newFerry(ctx, b, way{}, src.IMAP(), dst, dst.IMAP())
	defer t.close()
	doveadm := &backup{ctx, peer}
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\n%d messages in %d folders\twall\tCPU here\tsource\ttarget\t\n", spec.Messages, spec.Folders)
	for _, run := range []struct {
		what string
		dst  *testbed.Dovecot
		do   func() error
	}{
		{"first copy and proof", dst, t.copy},
		{"nothing changed", dst, t.copy},
		{"floor of that", dst, func() error { return leastLook(ctx, src.IMAP(), dst.IMAP()) }},
		{"doveadm, first copy", peer, doveadm.copy},
		{"doveadm, nothing changed", peer, doveadm.copy},
	} {
		began, cpu := time.Now(), cpuTimes(src, run.dst)
		if err := run.do(); err != nil {
			b.Fatalf("%s: %v", run.what, err)
		}
		wall, spent := time.Since(began), cpuTimes(src, run.dst).since(cpu)
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t\n", run.what, wall.Round(time.Millisecond), spent[0], spent[1], spent[2])
	}
	tw.Flush()
	b.ReportMetric(0, "ns/op")
}

// leastLook is what nobody can do without who wants to know that nothing has changed: a login on both sides, the status of
// all folders, and one folder opened.
func leastLook(ctx context.Context, from, to string) error {
	src, err := newPlain(ctx, way{}, from)
	if err != nil {
		return err
	}
	defer src.conn.Close()
	if err := src.do(`LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ))`); err != nil {
		return err
	}
	dst, err := newPlain(ctx, way{}, to)
	if err != nil {
		return err
	}
	defer dst.conn.Close()
	return dst.do("SELECT INBOX")
}

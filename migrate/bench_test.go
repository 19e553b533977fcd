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
// by mbsync, and by a pipe that does nothing but FETCH and APPEND (the floor), taking turns, and prints each
// tool's median beside the floor's and doveadm's. Then the same with nothing changed and with one message in a
// hundred changed. doveadm runs on the target, so it alone has no way to go there. `make bench-migrate` runs it.
func BenchmarkMigrate(b *testing.B) {
	for _, c := range []struct {
		missing float64
		way     way
	}{{0.1, way{}}, {0.3, way{}}, {0.1, way{tls: true}}, {0.1, way{toTarget: 5 * time.Millisecond}}, {0.1, way{toTarget: 5 * time.Millisecond, singly: true}}} {
		b.Run(fmt.Sprintf("missing=%g/tls=%v/rtt=%s/singly=%v", c.missing, c.way.tls, 2*c.way.toTarget, c.way.singly), func(b *testing.B) { benchMigrate(b, c.missing, c.way) })
	}
}

// way is how tools reach the servers.
type way struct {
	tls      bool
	toTarget time.Duration // how long a byte is under way
	singly   bool          // the target has no MULTIAPPEND
}

// to returns the address of a server: through TLS, later, or both.
func (w way) to(b *testing.B, d *testbed.Dovecot, delay time.Duration) string {
	addr := d.IMAP()
	if w.tls {
		addr = d.IMAPS()
	}
	if delay == 0 {
		return addr
	}
	f, err := testbed.Forward(addr, testbed.ForwardOptions{Up: testbed.Way{Delay: delay}, Down: testbed.Way{Delay: delay}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(f.Close)
	return f.Addr()
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

func benchMigrate(b *testing.B, missing float64, way way) {
	testbed.Need(b, "dovecot", "doveadm", "mbsync")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	src := benchServer(b, way, "")
	stats, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", benchMailbox(missing))
	if err != nil {
		b.Fatal(err)
	}
	from := way.to(b, src, 0)
	tools := []struct {
		name string
		open func(dst *testbed.Dovecot, to string) trial
	}{
		{"floor", func(_ *testbed.Dovecot, to string) trial { return &pipe{ctx, way, from, to, 2} }},
		{"doveadm", func(dst *testbed.Dovecot, _ string) trial { return &backup{ctx, dst} }},
		{"mbsync", func(dst *testbed.Dovecot, to string) trial {
			return newMbsync(ctx, b, way, []string{from, to}, []string{src.CertFile, dst.CertFile})
		}},
		{"imapferry", func(dst *testbed.Dovecot, to string) trial { return newFerry(ctx, b, way, from, dst, to) }},
	}
	times := map[string]map[string][]time.Duration{"first copy": {}, "nothing changed": {}, "1% changed": {}}
	spent := map[string]map[string][]cpuUse{"first copy": {}, "nothing changed": {}, "1% changed": {}}
	for range benchRounds {
		for _, tool := range tools {
			dst := benchServer(b, way, from)
			t := tool.open(dst, way.to(b, dst, way.toTarget))
			for _, what := range []string{"first copy", "nothing changed", "1% changed"} {
				if tool.name == "floor" && what != "first copy" {
					continue
				}
				if what == "1% changed" {
					change(ctx, b, src)
				}
				began, before := time.Now(), cpuTimes(src, dst)
				if err := t.copy(); err != nil {
					b.Fatalf("%s, %s: %v", tool.name, what, err)
				}
				times[what][tool.name] = append(times[what][tool.name], time.Since(began))
				spent[what][tool.name] = append(spent[what][tool.name], cpuTimes(src, dst).since(before))
			}
			t.close()
			dst.Stop()
		}
	}
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\n%d messages, %d MB, %.0f%% of UIDs missing, %+v\ttool\tmedian\t/ doveadm\t/ floor\tCPU\t/ doveadm\there\tsource\ttarget\t\n", stats.Messages, stats.Bytes>>20, missing*100, way)
	for _, what := range []string{"first copy", "nothing changed", "1% changed"} {
		for _, tool := range tools {
			if m := median(times[what][tool.name]); m > 0 {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%.2f\t%.2f\t", what, tool.name, m.Round(time.Millisecond), ratio(m, median(times[what]["doveadm"])), ratio(m, median(times["first copy"]["floor"])))
				cpu := leanest(spent[what][tool.name])
				fmt.Fprintf(tw, "%s\t%.2f\t%s\t%s\t%s\t\n", cpu.sum(), ratio(cpu.sum(), leanest(spent[what]["doveadm"]).sum()), cpu[0], cpu[1], cpu[2])
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

// benchServer is a Maildir server that writes without waiting for the disk, and can read by imapc from another one.
func benchServer(b *testing.B, way way, imapc string) *testbed.Dovecot {
	opt := testbed.DovecotOptions{Doveadm: true, ImapcSSL: "no", ExtraConfig: "mail_fsync = never\nmail_prefetch_count = 20\n"}
	if imapc != "" {
		opt.ImapcPort = portOf(imapc)
	}
	if imapc != "" && way.singly {
		opt.ExtraConfig += noMultiAppend
	}
	if way.tls {
		opt.ImapcSSL = "imaps"
	}
	d, err := testbed.ForTest(b).Dovecot(opt)
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

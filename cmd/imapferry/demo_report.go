package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// maxShown is how many differences are told one by one.
const maxShown = 20

// finish compares and reports. It returns errFailed if anything differs.
func (d *demonstration) finish(ctx context.Context) error {
	wrong, served, err := d.compare(ctx)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	rec, err := d.node.store.Get(ctx, demoUser) // counts of sessions come after the switch
	if err != nil {
		return err
	}
	d.report(rec, served, wrong)
	if wrong != nil {
		return errFailed
	}
	return nil
}

// compare reads the source, the target, and the target through the proxy, and returns every difference between what
// must be there and what is. The reader is testbed's, which shares nothing with what it judges.
func (d *demonstration) compare(ctx context.Context) (wrong []string, served *testbed.Account, err error) {
	source, err := testbed.Snapshot(ctx, d.servers.source, demoUser, demoPassword)
	if err != nil {
		return nil, nil, err
	}
	target, err := testbed.Snapshot(ctx, d.servers.target, demoUser, demoPassword)
	if err != nil {
		return nil, nil, err
	}
	if served, err = testbed.Snapshot(ctx, d.addr(), demoUser, demoPassword, testbed.WithCA(d.ca)); err != nil {
		return nil, nil, err
	}
	for _, a := range []*testbed.Account{source, target, served} {
		foldFlags(a)
	}
	want := d.client.ledger.expected(source, target)
	for name, f := range want.Folders {
		if was := d.before.Folders[name]; was != nil {
			f.UIDValidity = was.UIDValidity // what clients have in their caches
		}
	}
	opt := testbed.DiffOptions{UIDNextNotLower: true, IgnoreModSeq: true}
	wrong = prefixed(wrong, "through the proxy: ", testbed.Diff(want, served, opt))
	opt.IgnoreUIDValidity = d.record.Fidelity != state.Exact
	wrong = prefixed(wrong, "in the target: ", testbed.Diff(want, target, opt))
	client := d.client.now()
	wrong = prefixed(wrong, "seen by the client: ", client.wrong)
	if client.more > 0 {
		wrong = append(wrong, fmt.Sprintf("seen by the client: %d more", client.more))
	}
	return wrong, served, nil
}

func prefixed(to []string, prefix string, lines []string) []string {
	for _, line := range lines {
		to = append(to, prefix+line)
	}
	return to
}

func (d *demonstration) report(rec state.Record, served *testbed.Account, wrong []string) {
	c := d.client.now()
	fidelity := "UIDs and UIDVALIDITYs are the source's, in the target itself"
	if rec.Fidelity != state.Exact {
		fidelity = "UIDs are the source's, UIDVALIDITYs are translated by the proxy"
	}
	d.screen.say(`
messages    %d in %d folders, compared at both servers and through the proxy
fidelity    %s: %s
crossing    %.1f s from the first login to the switch
hold        %d ms, in which nothing of the client's was sent on
client      %d operations, %d writes acknowledged; the longest took %d ms
reconnects  %d (sessions moved: %d, ended: %d)`,
		served.Messages(), len(served.Folders), rec.Fidelity, fidelity, d.took.Seconds(), rec.HoldMS,
		c.operations, d.client.ledger.acked, c.longest.Milliseconds(), c.reconnects, rec.Moved, rec.Disconnected)
	d.screen.say("differences found: %d", len(wrong))
	for _, line := range wrong[:min(len(wrong), maxShown)] {
		d.screen.say("  %s", line)
	}
	if n := len(wrong) - maxShown; n > 0 {
		d.screen.say("  and %d more", n)
	}
}

// screen shows progress: in one line that is drawn again on a terminal, otherwise by a line for each change.
type screen struct {
	w        io.Writer
	terminal bool
	shown    string // what a log shows no second time
	drawn    bool
	began    time.Time
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		fi, err := f.Stat()
		s.terminal = err == nil && fi.Mode()&os.ModeCharDevice != 0
	}
	return s
}

func (s *screen) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

func (s *screen) progress(rec state.Record, c demoTally) {
	if rec.Phase == 0 {
		return // not logged in yet
	}
	count := "" // a worker tells only now and then how far it is
	if rec.Messages > 0 {
		count = fmt.Sprintf("%d of %d messages, %d folders", rec.MessagesDone, rec.Messages, rec.Folders)
	}
	line := fmt.Sprintf("%5.1f s  %-8s  %-36s  client: %d operations, %s", time.Since(s.began).Seconds(), rec.Phase, count, c.operations, c.doing)
	if s.terminal {
		fmt.Fprintf(s.w, "\r%s\x1b[K", line)
		s.drawn = true
		return
	}
	if change := fmt.Sprint(rec.Phase, share(rec.Progress), rec.Folders); change != s.shown {
		s.shown = change
		s.say("%s", line)
	}
}

// end leaves the line that was drawn.
func (s *screen) end() {
	if s.drawn {
		s.say("")
		s.drawn = false
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/tls"
)

const demoUsage = `usage: imapferry demo [--once] [--messages N] [--dovecot]

Shows a crossing on this machine alone: two mail servers, a user with mail in the old one, imapferry in front of both, and
a mail client that keeps working while the user is moved. Then both servers are compared, message by message, and what the client
was told is stored is looked for. Exit code 1 if anything differs. The proxy runs on until Ctrl-C, to be tried by hand.

  --once        end after the comparison
  --messages N  how many messages the user has (default 3000)
  --dovecot     between two Dovecots, which must be installed, instead of two servers in memory
`

// The user of the demo. Both servers know this password.
const (
	demoUser     = "alice"
	demoPassword = "pass"
)

// Bounds of the demo.
const (
	maxDemoMessages = 200_000
	crossingWithin  = 50 * time.Second      // for 3000 messages; more get more
	demoPoll        = 25 * time.Millisecond // how often progress is looked at
	visitsAfter     = 10                    // folders that the client works in after the switch
)

func demo(ctx context.Context, c *call) error {
	once := c.flags.Bool("once", false, "")
	messages := c.flags.Int("messages", 3000, "")
	dovecot := c.flags.Bool("dovecot", false, "")
	if err := c.parseNone(); err != nil {
		return err
	}
	if *messages < 1 || *messages > maxDemoMessages {
		return misused{fmt.Errorf("--messages %d is not between 1 and %d", *messages, maxDemoMessages)}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	d := &demonstration{messages: *messages, screen: newScreen(c.stdout), log: &tail{}}
	defer d.close()
	if err := d.run(ctx, *dovecot); err != nil {
		if !errors.Is(err, errFailed) && ctx.Err() == nil {
			fmt.Fprintf(c.stderr, "the end of the log:\n%s\n", d.log)
		}
		return err
	}
	if *once {
		return nil
	}
	d.invite()
	<-ctx.Done()
	return nil
}

// demonstration is two servers, the program between them, and a client.
//
//	servers ─► seed ─► snapshot ─► node ─► client ─► crossing ─► client ends ─► compare
type demonstration struct {
	messages int
	screen   *screen
	log      *tail
	servers  *demoServers
	dir      string           // of the state and the certificate
	before   *testbed.Account // the source, before imapferry is there
	node     *node
	ca       string // file with the proxy's certificate
	client   *demoClient
	took     time.Duration // from the client's login to the switch
	record   state.Record  // at the switch
}

func (d *demonstration) run(ctx context.Context, dovecot bool) error {
	if err := d.open(ctx, dovecot); err != nil {
		return err
	}
	if err := d.cross(ctx); err != nil {
		return err
	}
	return d.finish(ctx)
}

// open starts everything but the client.
func (d *demonstration) open(ctx context.Context, dovecot bool) (err error) {
	start := memoryServers
	if dovecot {
		start = dovecotServers
	}
	if d.servers, err = start(d.log); err != nil {
		return err
	}
	d.screen.say("source  %s\ntarget  %s", d.servers.sourceIs, d.servers.targetIs)
	if err := seedDemo(ctx, d.servers.source, d.messages); err != nil {
		return fmt.Errorf("fill the source: %w", err)
	}
	if d.before, err = testbed.Snapshot(ctx, d.servers.source, demoUser, demoPassword); err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	foldFlags(d.before)
	d.screen.say("user    %s, %d messages in %d folders of the source\n", demoUser, d.before.Messages(), len(d.before.Folders))
	if d.dir, err = os.MkdirTemp("", "imapferry-demo-"); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(d.log, nil))
	if d.node, err = startNode(ctx, d.config(), log); err != nil {
		return err
	}
	d.ca = filepath.Join(d.dir, "proxy.pem")
	return os.WriteFile(d.ca, d.node.certs.PEM(), 0o600)
}

// config is what a file would say. All that it does not name is as everywhere.
func (d *demonstration) config() *config {
	cfg := defaultConfig()
	cfg.Listen = listenConfig{IMAPS: []string{"127.0.0.1:0"}, Admin: "127.0.0.1:0"}
	cfg.TLS.Mode = tls.ModeSelfSigned
	cfg.State = stateConfig{URL: stateURL("bolt:" + filepath.Join(d.dir, "state.db")), Node: "demo"}
	cfg.Source.URL = "imap://" + d.servers.source
	cfg.Target.URL = "imap://" + d.servers.target
	cfg.Target.TargetSettings = d.servers.settings
	return cfg
}

func (d *demonstration) addr() string {
	imaps, _ := d.node.server.Addrs()
	return imaps[0].String()
}

// cross lets the client work until the user is switched, and a while longer.
func (d *demonstration) cross(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, crossingWithin+time.Duration(d.messages)*5*time.Millisecond)
	defer cancel()
	began := time.Now()
	d.client = newDemoClient(d.addr(), d.ca, d.before)
	enough, ended := make(chan struct{}), make(chan error, 1)
	go d.client.work(ctx, enough, ended)
	err := d.await(ctx, began, ended)
	if err == nil {
		err = d.client.awaitVisits(ctx, visitsAfter, ended)
	}
	d.screen.end()
	if err != nil {
		cancel()
		<-ended
		return err
	}
	close(enough)
	return <-ended
}

// await shows how far the user is until the target serves him.
func (d *demonstration) await(ctx context.Context, began time.Time, ended chan error) error {
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for {
		rec, err := d.node.store.Get(ctx, demoUser)
		if err != nil && !errors.Is(err, state.ErrUnknown) {
			return err
		}
		d.screen.progress(rec, d.client.now())
		switch {
		case rec.Phase == state.Held:
			return fmt.Errorf("the user is held: %s", rec.Reason)
		case rec.Phase.OnTarget():
			d.record, d.took = rec, time.Since(began)
			return nil
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("the client ended before the switch: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("no switch within the time of the demo; the user is %s: %s", rec.Phase, rec.Reason)
		case <-tick.C:
		}
	}
}

// close ends all of it, in the order in which one needs the other.
func (d *demonstration) close() {
	if d.node != nil {
		d.node.stop()
	}
	if d.servers != nil {
		if err := d.servers.close(); err != nil {
			d.screen.say("stopping the servers: %v", err)
		}
	}
	if d.dir != "" {
		os.RemoveAll(d.dir)
	}
}

// invite tells how to look at it by hand.
func (d *demonstration) invite() {
	admin := d.node.adminAddr()
	d.screen.say(`
The proxy runs on, until Ctrl-C. By hand:

  openssl s_client -quiet -crlf -CAfile %s -connect %s
  a LOGIN %s %s
  b SELECT INBOX

  imapferry status %s --admin http://%s`, d.ca, d.addr(), demoUser, demoPassword, demoUser, admin)
}

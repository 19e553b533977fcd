package main

import (
	"context"
	cryptotls "crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"imapferry/internal/testbed"
)

// Bounds of the client.
const (
	answerWithin    = 30 * time.Second // one reply
	reconnectWithin = 10 * time.Second // from the end of a session to the next login
	reconnectPause  = 50 * time.Millisecond
	maxReconnects   = 10
	demoPause       = 5 * time.Millisecond // between two operations
	maxWrong        = 50                   // findings that are kept
)

// demoFolderRound are the folders that the client works in, by names without anything to encode.
var demoFolderRound = []string{"INBOX", "Sent", "Lists/sailing", "Drafts", "Projects/Harbour"}

// demoClient is a mail client: go-imap's, which has nothing in common with the proxy. It goes from folder to folder,
// reads, writes and idles, checks all it reads against its ledger, and when a session ends logs in again, as clients
// do.
type demoClient struct {
	// Owned by work, and readable when that has ended.
	addr     string
	caFile   string
	ledger   *ledger
	rng      *rand.Rand
	serial   int
	conn     *imapclient.Client
	raw      net.Conn
	selected string
	lost     time.Time // when the last session ended

	mu sync.Mutex
	demoTally
}

// demoTally is what the screen and the report show of the client.
type demoTally struct {
	doing      string
	operations int
	visits     int
	reconnects int
	longest    time.Duration // wait for one operation
	wrong      []string
	more       int // findings beyond those in wrong
}

func newDemoClient(addr, caFile string, before *testbed.Account) *demoClient {
	return &demoClient{addr: addr, caFile: caFile, ledger: newLedger(before), rng: rand.New(rand.NewPCG(7, 7))}
}

// now returns the tally.
func (c *demoClient) now() demoTally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.demoTally
}

func (c *demoClient) tally(f func(*demoTally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.demoTally)
}

// find notes that something is not as the ledger has it.
func (c *demoClient) find(format string, args ...any) {
	c.tally(func(t *demoTally) {
		if len(t.wrong) == maxWrong {
			t.more++
			return
		}
		t.wrong = append(t.wrong, fmt.Sprintf(format, args...))
	})
}

// awaitVisits waits until the client has been in n more folders.
func (c *demoClient) awaitVisits(ctx context.Context, n int, ended chan error) error {
	tick := time.NewTicker(demoPause)
	defer tick.Stop()
	for goal := c.now().visits + n; c.now().visits < goal; {
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("the client ended after the switch: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the client got stuck after the switch, at: %s", c.now().doing)
		case <-tick.C:
		}
	}
	return nil
}

// work goes on until enough is closed, session after session, and then sends one value to ended.
func (c *demoClient) work(ctx context.Context, enough <-chan struct{}, ended chan<- error) {
	for {
		err := c.session(ctx, enough)
		var refused *imap.Error
		switch {
		case err == nil || ctx.Err() != nil:
			ended <- err
			return
		case errors.As(err, &refused):
			ended <- fmt.Errorf("the client was refused: %w", err)
			return
		}
		if c.now().reconnects == maxReconnects {
			ended <- fmt.Errorf("the client's sessions end again and again: %w", err)
			return
		}
		c.tally(func(t *demoTally) { t.reconnects++ })
		c.lost = time.Now()
	}
}

// session is one connection from login to logout.
func (c *demoClient) session(ctx context.Context, enough <-chan struct{}) error {
	if err := c.login(ctx); err != nil {
		return err
	}
	defer c.conn.Close()
	defer context.AfterFunc(ctx, func() { c.raw.Close() })()
	for i := 0; ; i++ {
		select {
		case <-enough:
			return c.conn.Logout().Wait()
		default:
		}
		if err := c.visit(demoFolderRound[i%len(demoFolderRound)], enough); err != nil {
			return err
		}
		c.tally(func(t *demoTally) { t.visits++ })
	}
}

// login tries again for a while after a session has ended.
func (c *demoClient) login(ctx context.Context) error {
	for {
		err := c.act("log in", func() error { return c.tryLogin(ctx) })
		if err == nil || c.lost.IsZero() || time.Since(c.lost) > reconnectWithin {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(reconnectPause):
		}
	}
}

func (c *demoClient) tryLogin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	pem, err := os.ReadFile(c.caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := cryptotls.Dialer{Config: &cryptotls.Config{RootCAs: roots, NextProtos: []string{"imap"}}}
	if c.raw, err = dialer.DialContext(ctx, "tcp", c.addr); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { c.raw.Close() })()
	c.conn, c.selected = imapclient.New(c.raw, nil), ""
	if err := c.conn.Login(demoUser, demoPassword).Wait(); err != nil {
		c.conn.Close()
		return err
	}
	return nil
}

// act does one operation, and measures how long it takes.
func (c *demoClient) act(what string, f func() error) error {
	c.tally(func(t *demoTally) { t.doing = what })
	began := time.Now()
	if c.conn != nil {
		raw := c.raw
		defer time.AfterFunc(answerWithin, func() { raw.Close() }).Stop()
	}
	err := f()
	c.tally(func(t *demoTally) {
		t.longest = max(t.longest, time.Since(began))
		if err == nil {
			t.operations++
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// write does an operation that changes something. Without an answer it may have been done or not; a refusal says that it was not.
func (c *demoClient) write(what string, w demoWrite, f func() (uid uint32, err error)) error {
	err := c.act(what, func() (err error) {
		w.uid, err = f()
		return err
	})
	var refused *imap.Error
	if err == nil {
		c.ledger.done(w)
	} else if !errors.As(err, &refused) {
		c.ledger.unsure = append(c.ledger.unsure, w)
	}
	return err
}

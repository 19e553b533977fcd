package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"imapferry/internal/testbed"
)

// demoFolder is a folder of the user, by its raw name.
type demoFolder struct {
	name       string
	share      int  // of 100 messages
	subscribed bool // LSUB
	whole      bool // no UID is missing
}

// demoFolders has parents before children.
var demoFolders = []demoFolder{
	{"INBOX", 25, true, false}, {"Sent", 12, true, false}, {"Drafts", 2, true, false}, {"Trash", 5, false, false},
	{"Archive", 3, true, false}, {"Archive/2023", 9, true, false}, {"Archive/2024", 8, true, false}, {"Archive/2024/Invoices", 4, false, false},
	{"Lists", 0, false, false}, {"Lists/sailing", 18, true, false}, {"Projects", 1, true, false}, {"Projects/Harbour", 8, true, false},
	{"Entw&APw-rfe", 3, true, false}, {"Templates", 2, true, true},
}

// demoBatch is how many messages go into one MULTIAPPEND, where there is one.
const demoBatch = 100

// seedDemo fills the source over IMAP, four folders at a time. What it makes depends on messages alone.
func seedDemo(ctx context.Context, addr string, messages int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	left := messages
	for i := len(demoFolders) - 1; i >= 0; i-- { // INBOX, the first, gets what is left
		n := messages * demoFolders[i].share / 100
		if i == 0 {
			n = left
		}
		left -= n
		g.Go(func() error { return seedFolder(ctx, addr, demoFolders[i], uint64(i), n) })
	}
	return g.Wait()
}

func seedFolder(ctx context.Context, addr string, f demoFolder, seed uint64, n int) error {
	c, err := testbed.Login(ctx, addr, demoUser, demoPassword)
	if err != nil {
		return err
	}
	defer c.Close()
	name := testbed.Quote(f.name)
	if f.name != "INBOX" {
		if _, err := c.Do("CREATE ", name); err != nil {
			return fmt.Errorf("create %s: %w", f.name, err)
		}
	}
	if f.subscribed {
		if _, err := c.Do("SUBSCRIBE ", name); err != nil {
			return fmt.Errorf("subscribe to %s: %w", f.name, err)
		}
	}
	if err := pour(c, f, &author{rng: rand.New(rand.NewPCG(seed, 1)), folder: f.name}, n); err != nil {
		return fmt.Errorf("append to %s: %w", f.name, err)
	}
	if _, err := c.Do("SELECT ", name); err != nil {
		return err
	}
	if _, err := c.Do("CLOSE"); err != nil { // expunges, and leaves the gaps
		return err
	}
	return c.Logout()
}

// pour appends n messages and, unless the folder is to be whole, now and then some that are expunged later.
func pour(c *testbed.Client, f demoFolder, a *author, n int) error {
	var batch []testbed.Mail
	for i := range n {
		batch = append(batch, a.mail())
		if !f.whole && i%9 == 4 {
			batch = append(batch, gone(1+i%3)...)
		}
		if !f.whole && i == n/2 {
			batch = append(batch, gone(40)...)
		}
	}
	for len(batch) > 0 {
		size := min(demoBatch, len(batch))
		if !c.Has("MULTIAPPEND") {
			size = 1
		}
		parts := []any{"APPEND ", testbed.Quote(f.name)}
		for _, m := range batch[:size] {
			parts = append(parts, " ("+m.Flags+`) "`+m.Date+`" `, testbed.Literal(m.Body))
		}
		if _, err := c.Do(parts...); err != nil {
			return err
		}
		batch = batch[size:]
	}
	return nil
}

func gone(n int) []testbed.Mail {
	all := make([]testbed.Mail, n)
	for i := range all {
		all[i] = testbed.Mail{Flags: `\Deleted`, Date: "01-Jan-2020 00:00:00 +0000", Body: "Subject: gone\r\n\r\n"}
	}
	return all
}

// author makes up mail.
type author struct {
	rng    *rand.Rand
	folder string
	serial int
}

var demoWords = strings.Fields("harbour ferry tide rope deck anchor quay lantern chart bell gull mast rudder cabin crew cargo island channel fog wake buoy")

func (a *author) word() string { return demoWords[a.rng.IntN(len(demoWords))] }

// mail is mostly short; one in a hundred is large.
func (a *author) mail() testbed.Mail {
	a.serial++
	size := 400 + a.rng.IntN(4000)
	if a.serial%100 == 50 {
		size = 200_000 + a.rng.IntN(300_000)
	}
	date := time.Unix(1_600_000_000+a.rng.Int64N(150_000_000), 0).In(time.FixedZone("", 3600*(a.rng.IntN(5)-2)))
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s@sender.example\r\nTo: %s@example.org\r\nSubject: %s and %s\r\nDate: %s\r\nMessage-ID: <%016x.%d@sender.example>\r\n\r\n",
		a.word(), demoUser, a.word(), a.word(), date.Format(time.RFC1123Z), a.rng.Uint64(), a.serial)
	for b.Len() < size {
		for range 9 {
			b.WriteString(a.word() + " ")
		}
		b.WriteString(a.folder + "\r\n")
	}
	return testbed.Mail{Flags: a.flags(), Date: date.Format("_2-Jan-2006 15:04:05 -0700"), Body: b.String()}
}

func (a *author) flags() string {
	var set []string
	for _, f := range []struct {
		name string
		of   int
	}{{`\Seen`, 80}, {`\Answered`, 15}, {`\Flagged`, 5}, {"$Forwarded", 4}, {"NonJunk", 10}, {"Project-2024", 3}} {
		if a.rng.IntN(100) < f.of {
			set = append(set, f.name)
		}
	}
	return strings.Join(set, " ")
}

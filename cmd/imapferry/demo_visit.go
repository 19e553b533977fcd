package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"imapferry/internal/testbed"
)

// How much a visit reads, and how long it idles.
const (
	visitReads = 5
	visitIdles = 30 * time.Millisecond
)

// visit opens a folder and does in it what users do.
func (c *demoClient) visit(folder string, enough <-chan struct{}) error {
	for _, step := range []func(folder string) error{c.open, c.read, c.append, c.flag, c.read, c.expunge} {
		if err := step(folder); err != nil {
			return err
		}
		time.Sleep(demoPause)
	}
	return c.idle(folder, enough)
}

// open selects a folder and looks whether the cache that a client has of it would hold (I2).
func (c *demoClient) open(folder string) error {
	return c.act("open "+folder, func() error {
		data, err := c.conn.Select(folder, nil).Wait()
		if err != nil {
			return err
		}
		if want := c.ledger.validity[folder]; data.UIDValidity != want {
			c.find("%s: opened with UIDVALIDITY %d, was %d", folder, data.UIDValidity, want)
		}
		if want := len(c.ledger.folders[folder]); int(data.NumMessages) != want && !c.ledger.hazy(folder) {
			c.find("%s: opened with %d messages, want %d", folder, data.NumMessages, want)
		}
		return nil
	})
}

// read fetches some messages and compares all of them.
func (c *demoClient) read(folder string) error {
	uids := c.ledger.uids(folder)
	if len(uids) == 0 {
		return nil
	}
	want := map[uint32]bool{}
	var set imap.UIDSet
	for range visitReads {
		uid := uids[c.rng.IntN(len(uids))]
		want[uid] = true
		set.AddNum(imap.UID(uid))
	}
	return c.act("read in "+folder, func() error {
		got, err := c.conn.Fetch(set, &imap.FetchOptions{
			UID: true, Flags: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
		}).Collect()
		if err != nil {
			return err
		}
		for _, m := range got {
			if len(m.BodySection) == 0 {
				continue // unasked: flags
			}
			delete(want, uint32(m.UID))
			sum := sha256.Sum256(m.BodySection[0].Bytes)
			c.compare(folder, uint32(m.UID), testbed.Message{Flags: folded(m.Flags), InternalDate: m.InternalDate, Size: m.RFC822Size, Sum: hex.EncodeToString(sum[:])})
		}
		for uid := range want {
			c.find("%s uid %d: not there any more", folder, uid)
		}
		return nil
	})
}

func (c *demoClient) compare(folder string, uid uint32, got testbed.Message) {
	want := c.ledger.folders[folder][uid]
	switch {
	case got.Sum != want.Sum:
		c.find("%s uid %d: read another body", folder, uid)
	case got.Flags != want.Flags:
		c.find("%s uid %d: read flags [%s], want [%s]", folder, uid, got.Flags, want.Flags)
	case !got.InternalDate.Equal(want.InternalDate) || got.Size != want.Size:
		c.find("%s uid %d: read another date or size", folder, uid)
	}
}

func (c *demoClient) append(folder string) error {
	c.serial++
	body := fmt.Sprintf("From: %[1]s@example.org\r\nTo: bob@example.org\r\nSubject: written during the crossing, %[2]d\r\nMessage-ID: <demo.%[2]d@example.org>\r\n\r\n%[3]s",
		demoUser, c.serial, strings.Repeat("The ferry goes on.\r\n", 1+c.serial%40))
	date := time.Unix(1_750_000_000+int64(c.serial)*60, 0).UTC()
	sum := sha256.Sum256([]byte(body))
	w := demoWrite{folder: folder, msg: testbed.Message{Flags: `\seen`, InternalDate: date, Size: int64(len(body)), Sum: hex.EncodeToString(sum[:])}}
	return c.write("append to "+folder, w, func() (uint32, error) {
		cmd := c.conn.Append(folder, int64(len(body)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}, Time: date})
		if _, err := cmd.Write([]byte(body)); err != nil {
			cmd.Close()
			return 0, err
		}
		if err := cmd.Close(); err != nil {
			return 0, err
		}
		data, err := cmd.Wait()
		if err != nil {
			return 0, err
		}
		if uint32(data.UID) <= c.ledger.highest[folder] || data.UIDValidity != c.ledger.validity[folder] {
			c.find("%s: appended as uid %d of %d, though uid %d of %d was given before", folder, data.UID, data.UIDValidity, c.ledger.highest[folder], c.ledger.validity[folder])
		}
		return uint32(data.UID), nil
	})
}

// flag marks a message.
func (c *demoClient) flag(folder string) error {
	uids := c.ledger.uids(folder)
	if len(uids) == 0 {
		return nil
	}
	uid := uids[c.rng.IntN(len(uids))]
	flag := []imap.Flag{imap.FlagFlagged, imap.FlagAnswered, "NonJunk"}[c.rng.IntN(3)]
	m := c.ledger.folders[folder][uid]
	m.Flags = folded(append(strings.Fields(m.Flags), string(flag)))
	return c.write("flag in "+folder, demoWrite{folder: folder, uid: uid, msg: m}, func() (uint32, error) {
		return uid, c.conn.Store(imap.UIDSetNum(imap.UID(uid)), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}, Silent: true}, nil).Close()
	})
}

// expunge removes a message: first the mark, which is a write of its own.
func (c *demoClient) expunge(folder string) error {
	uids := c.ledger.uids(folder)
	if len(uids) < 3 {
		return nil
	}
	uid := uids[c.rng.IntN(len(uids))]
	set := imap.UIDSetNum(imap.UID(uid))
	m := c.ledger.folders[folder][uid]
	m.Flags = folded(append(strings.Fields(m.Flags), string(imap.FlagDeleted)))
	err := c.write("delete in "+folder, demoWrite{folder: folder, uid: uid, msg: m}, func() (uint32, error) {
		return uid, c.conn.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}, nil).Close()
	})
	if err != nil {
		return err
	}
	return c.write("expunge in "+folder, demoWrite{folder: folder, uid: uid, gone: true}, func() (uint32, error) {
		return uid, c.conn.UIDExpunge(set).Close()
	})
}

// idle waits for news, of which there are none, since nobody else writes.
func (c *demoClient) idle(folder string, enough <-chan struct{}) error {
	c.tally(func(t *demoTally) { t.doing = "idle in " + folder })
	cmd, err := c.conn.Idle()
	if err != nil {
		return fmt.Errorf("idle in %s: %w", folder, err)
	}
	select {
	case <-time.After(visitIdles):
	case <-enough:
	case <-c.conn.Closed():
	}
	return c.act("end idle in "+folder, func() error {
		if err := cmd.Close(); err != nil {
			return err
		}
		return cmd.Wait()
	})
}

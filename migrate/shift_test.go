package migrate

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// meddler is a store that does something just before the first batch of a folder is committed.
type meddler struct {
	*boltstate.Store
	once   sync.Once
	folder string
	meddle func(note)
}

func (m *meddler) PutFolders(ctx context.Context, l state.Lease, folders ...state.Folder) error {
	for _, f := range folders {
		if n, err := readNote(f); err == nil && f.Name == m.folder && len(n.Intent) > 3 {
			m.once.Do(func() { m.meddle(n) })
		}
	}
	return m.Store.PutFolders(ctx, l, folders...)
}

// TestLateBatch: the last batch of a dead worker takes effect just before the same batch comes again. The folder is
// copied anew, and nothing is there twice (I1).
func TestLateBatch(t *testing.T) {
	for _, folder := range []string{"INBOX", "Archive"} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s plain=%v", folder, plain), func(t *testing.T) {
				x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.plain = plain })
				x.seed("alice", testbed.SeedSpec{Seed: 9, NoLarge: true})
				x.wrap = func(s *boltstate.Store) Store {
					return &meddler{Store: s, folder: folder, meddle: func(n note) { x.repeat(folder, n) }}
				}
				x.start()
				x.engine.Offer("alice", "pass")
				x.awaitPhase("alice", state.Migrated)
				x.same("alice", testbed.DiffOptions{IgnoreUIDValidity: plain, IgnoreModSeq: plain})
			})
		}
	}
}

// repeat appends to the target what the note is about to commit.
func (x *crossing) repeat(folder string, n note) {
	src := x.snapshot(x.src, "alice").Folders[folder]
	c, err := testbed.Login(x.ctx, x.src.IMAP(), "alice", "pass")
	if err != nil {
		x.t.Error(err)
		return
	}
	defer c.Close()
	if _, err := c.Do("EXAMINE ", folder); err != nil {
		x.t.Error(err)
	}
	for _, i := range n.Intent {
		mail := testbed.Mail{Flags: `\Deleted`, Date: placeholderDate, Body: placeholder}
		if m, ok := src.Messages[i.UID]; ok {
			mail = testbed.Mail{Flags: `\Seen`, Date: m.InternalDate.Format("02-Jan-2006 15:04:05 -0700"), Body: body(x, c, i.UID)}
		}
		if _, err := testbed.Append(x.ctx, x.dst.IMAP(), "alice", "pass", folder, mail); err != nil {
			x.t.Error(err)
		}
	}
}

func body(x *crossing, c *testbed.Client, uid uint32) string {
	replies, err := c.Do(fmt.Sprintf("UID FETCH %d BODY.PEEK[]", uid))
	if err != nil {
		x.t.Error(err)
		return ""
	}
	list := replies[0].Values[2].List
	return list[len(list)-1].Text
}

// TestDeliveryIntoTarget: mail that somebody delivers into the target while it is copied holds the user, and is left alone (I4).
func TestDeliveryIntoTarget(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox")
	x.seed("alice", testbed.SeedSpec{Seed: 10, NoLarge: true})
	x.wrap = func(s *boltstate.Store) Store {
		return &meddler{Store: s, folder: "INBOX", meddle: func(note) { x.deliver(x.dst, "alice", "INBOX", "not from here") }}
	}
	x.start()
	x.engine.Offer("alice", "pass")
	x.held("alice", "holds mail of unknown origin")
	c, err := testbed.Login(x.ctx, x.dst.IMAP(), "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do("EXAMINE INBOX"); err != nil {
		t.Fatal(err)
	}
	replies, err := c.Do(`SEARCH SUBJECT "not from here"`)
	if err != nil || !strings.Contains(fmt.Sprint(replies), "SEARCH") || len(replies[0].Values) < 2 {
		t.Errorf("the delivered mail is gone: %v, %v", replies, err)
	}
}

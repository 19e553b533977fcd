package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapferry/internal/testbed"
	"imapferry/state"
	"imapferry/state/boltstate"
)

// joinNode joins a node that acknowledges every hold with what told returns.
func joinNode(t *testing.T, ctx context.Context, store *boltstate.Store, name string, told func() []state.Touched) {
	t.Helper()
	joinHolding(t, ctx, store, name, func() int { return 0 }, told)
}

// joinHolding is joinNode for a node that tells how many sessions it holds. While that is less than none, it acknowledges nothing.
func joinHolding(t *testing.T, ctx context.Context, store *boltstate.Store, name string, sessions func() int, told func() []state.Touched) {
	t.Helper()
	n, err := store.Join(ctx, name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var acknowledging sync.WaitGroup
	acknowledging.Go(func() {
		for ctx.Err() == nil {
			holds, err := store.Inbox(ctx, n)
			for i := 0; err == nil && i < len(holds); i++ {
				if open := sessions(); open >= 0 {
					err = store.Acknowledge(ctx, n, holds[i], open, told())
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { cancel(); acknowledging.Wait() })
}

func tells(list ...state.Touched) func() []state.Touched {
	return func() []state.Touched { return list }
}

// UIDVALIDITY of the source's folders, in the order in which they are made.
const inboxValidity, workValidity = 115001, 115002

// TestPromises: what a client was told is stored is in what the last pass has proven, or the cutover is called off (I1).
func TestPromises(t *testing.T) {
	type list = []state.Touched
	tests := []struct {
		name     string
		one, two list   // of two nodes
		off      string // why it is called off; empty: it is not
	}{
		{"shown", list{{Folder: "INBOX", UIDValidity: inboxValidity, UID: 5}}, nil, ""},
		{"expunged since", list{{Folder: "INBOX", UIDValidity: inboxValidity, UID: 4}}, nil, ""},
		{"not yet", list{{Folder: "INBOX", UIDValidity: inboxValidity, UID: 6}}, nil, `does not show uid 6 of "INBOX" yet`},
		{"not yet, by the other node", list{{Folder: "INBOX", UIDValidity: inboxValidity, UID: 5}},
			list{{Folder: "INBOX", UIDValidity: inboxValidity, UID: 7}}, `does not show uid 7 of "INBOX" yet`},
		{"of a former folder", list{{Folder: "Work", UIDValidity: workValidity - 1, UID: 99}}, nil, ""},
		{"of a later folder", list{{Folder: "Work", UIDValidity: workValidity + 1, UID: 1}}, nil, `does not show uid 1 of "Work" yet`},
		{"in a folder that is not there yet", list{{Folder: "New", UIDValidity: 1, UID: 1}}, nil, `does not show the folder "New" yet`},
		{"in a folder deleted since", list{{Folder: "Old", UIDValidity: 1, UID: 1, Age: time.Minute}}, list{{Folder: "Old", Gone: true, Age: time.Second}}, ""},
		{"in a folder deleted before", list{{Folder: "New", UIDValidity: 1, UID: 1}}, list{{Folder: "New", Gone: true, Age: time.Minute}}, `does not show the folder "New" yet`},
		{"in too many folders", nil, list{{UIDValidity: 1, UID: 1}}, "too many folders"},
		{"nothing", list{{Folder: "INBOX"}, {Folder: "Gone", Gone: true}}, list{{}}, ""},
		{"left out", list{{Folder: "Spam", UIDValidity: 1, UID: 9}}, nil, ""},
		{"under another name", list{{Folder: "INBOX/Work", UIDValidity: workValidity, UID: 3}}, nil, ""},
		{"under another name, not yet", list{{Folder: "INBOX/Work", UIDValidity: workValidity, UID: 4}}, nil, `does not show the folder "INBOX/Work" yet`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, batchCaps)
			s.settings.Exclude = []string{"Spam"}
			s.src.deliver("INBOX", 1, 2, 4, 5)
			s.src.deliver("Work", 1, 3)
			s.src.do(func() {
				s.src.folders["INBOX"].expunge(func(m *fakeMail) bool { return m.uid == 4 })
				s.src.hook = func(verb, args string) (string, bool) { // a second, hidden namespace
					if verb == "STATUS" && strings.Contains(args, "INBOX/Work") {
						return fmt.Sprintf("* STATUS INBOX/Work (MESSAGES 2 UIDNEXT 4 UIDVALIDITY %d)\r\n%%t OK done\r\n", workValidity), true
					}
					return "", false
				}
			})
			joinNode(t, s.ctx, s.store, "one", tells(tt.one...))
			joinNode(t, s.ctx, s.store, "two", tells(tt.two...))
			s.start()
			if tt.off == "" {
				s.migrated()
				return
			}
			s.failing("cutover called off", tt.off)
		})
	}
}

// TestSourceLags: a session of the worker sees an older state than the session of a client, which was told that its message is
// stored. The cutover waits for the source to catch up, and loses nothing (I1).
func TestSourceLags(t *testing.T) {
	s := newStage(t, batchCaps)
	s.src.caps = "CONDSTORE ENABLE QRESYNC"
	s.src.deliver("INBOX", 1, 2)
	joinNode(t, s.ctx, s.store, "one", tells(state.Touched{Folder: "INBOX", UIDValidity: inboxValidity, UID: 3}))
	s.start()
	s.failing("cutover called off", `the source does not show uid 3 of "INBOX" yet, which a client was told is stored`)
	if rec, err := s.store.Get(s.ctx, "alice"); err != nil || rec.Phase != state.Tailing {
		t.Fatalf("record %+v, %v", rec, err)
	}
	s.src.deliver("INBOX", 3)
	s.engine.Wake("alice")
	s.migrated()
}

// TestListPassesOver: a client has created a folder a moment before the hold, and the source's LIST passes over it once, as Dovecot's does. The
// user is not switched without it (I1).
func TestListPassesOver(t *testing.T) {
	s := one(newStage(t, batchCaps))
	s.src.deliver("INBOX", 1)
	var once sync.Once
	joinNode(t, s.ctx, s.store, "one", func() []state.Touched {
		once.Do(func() {
			s.src.do(func() {
				s.src.create("New")
				passed := false
				s.src.mangle = func(verb, answer string) string {
					lines := strings.SplitAfter(answer, "\r\n")
					if verb != "LIST" || passed {
						return answer
					}
					passed = true
					return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `"New"`) }), "")
				}
			})
		})
		return []state.Touched{{Folder: "New"}, {Folder: "Deleted beside"}}
	})
	s.start()
	s.migrated()
	if src, dst := s.src.text(false), s.dst.text(false); src != dst || !strings.Contains(s.log.String(), "without \\\"New\\\"") {
		t.Errorf("source:\n%starget:\n%s", src, dst)
	}
}

// TestHintedFolder: a folder that a client has changed since the last pass is looked at, even if its status, which may be
// cached, says that nothing has changed. One that was passed since is not: 30 of them must not break the hold budget.
func TestHintedFolder(t *testing.T) {
	for _, caps := range []string{"CONDSTORE", "CONDSTORE ENABLE QRESYNC"} {
		for _, tt := range []struct {
			name    string
			touched state.Touched
			looks   int64
		}{
			{"changed just now", state.Touched{Folder: "Work"}, 1},
			{"changed before the pass", state.Touched{Folder: "Work", Age: time.Hour}, 0},
			{"another folder", state.Touched{Folder: "Play"}, 0},
			{"any folder", state.Touched{}, 1},
		} {
			t.Run(caps+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, batchCaps)
				s.src.caps = caps
				s.src.deliver("Work", 1, 2)
				var held atomic.Bool
				var looks atomic.Int64
				s.src.do(func() {
					s.src.hook = func(verb, args string) (string, bool) {
						if verb == "EXAMINE" && strings.Contains(args, "Work") && held.Load() {
							looks.Add(1)
						}
						return "", false
					}
				})
				joinNode(t, s.ctx, s.store, "one", func() []state.Touched {
					held.Store(true)
					return []state.Touched{tt.touched}
				})
				s.start()
				s.migrated()
				if n := looks.Load(); n != tt.looks {
					t.Errorf("looked %d times; want %d", n, tt.looks)
				}
			})
		}
	}
}

// TestHintedFoldersOfDovecot: looking again at many folders costs little of the hold budget, with QRESYNC and without.
func TestHintedFoldersOfDovecot(t *testing.T) {
	const folders = 30
	for _, tt := range []struct {
		name   string
		hinted bool
		config string
	}{
		{"no hints", false, ""},
		{"hints", true, ""},
		{"hints without QRESYNC", true, "imap_capability = IMAP4rev1 LITERAL+ ENABLE UIDPLUS LIST-EXTENDED LIST-STATUS CONDSTORE NAMESPACE UNSELECT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newCrossing(t, "maildir", "mdbox", func(x *crossing) { x.srcConfig, x.settings = tt.config, DefaultSettings() })
			if _, err := testbed.Bulk(x.ctx, x.src.IMAP(), "alice", "pass", testbed.BulkSpec{Messages: 50 * folders, Folders: folders, MedianSize: 1 << 10}); err != nil {
				t.Fatal(err)
			}
			x.start()
			var told []state.Touched
			for name, f := range x.snapshot(x.src, "alice").Folders {
				if tt.hinted && f.Selectable {
					told = append(told, state.Touched{Folder: name, UIDValidity: f.UIDValidity, UID: f.UIDNext - 1})
				}
			}
			joinNode(t, x.ctx, x.store, "one", tells(told...))
			x.engine.Offer("alice", "pass")
			rec := x.awaitPhase("alice", state.Migrated)
			t.Logf("%d folders hinted: hold of %d ms", len(told), rec.HoldMS)
		})
	}
}

// TestPromiseByOtherName: clients that were set up for the server before this one know folders by a hidden prefix, which no
// list shows. What they were told is stored is found all the same; else such users could never be switched.
func TestPromiseByOtherName(t *testing.T) {
	x := newCrossing(t, "maildir", "mdbox", func(x *crossing) {
		x.srcConfig = "namespace compat {\n separator = /\n prefix = INBOX/\n hidden = yes\n list = no\n alias_for =\n}"
	})
	x.seed("alice", testbed.SeedSpec{Seed: 10, NoLarge: true})
	archive := x.snapshot(x.src, "alice").Folders["Archive"]
	x.start()
	joinNode(t, x.ctx, x.store, "one", tells(state.Touched{Folder: "INBOX/Archive", UIDValidity: archive.UIDValidity, UID: archive.UIDNext - 1}))
	x.engine.Offer("alice", "pass")
	x.await("alice", "migrated at once", func(r state.Record) bool {
		if r.Attempts > 0 || r.Phase == state.Held {
			t.Fatal(r.Reason)
		}
		return r.Phase == state.Migrated
	})
}

// TestPromisesOfServers: a message that a client stores at the last moment before a node acknowledges is shown to the worker's
// session at once by real servers, which are one machine, and is in the target (I1).
func TestPromisesOfServers(t *testing.T) {
	type source interface{ IMAP() string }
	for name, start := range map[string]func(*testbed.Bed) (source, error){
		"dovecot": func(b *testbed.Bed) (source, error) {
			return b.Dovecot(testbed.DovecotOptions{Format: "maildir", Separator: ".", Prefix: "INBOX."})
		},
		"cyrus":   func(b *testbed.Bed) (source, error) { return b.Cyrus(testbed.CyrusOptions{}) },
		"courier": func(b *testbed.Bed) (source, error) { return b.Courier(testbed.CourierOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			bed := testbed.ForTest(t)
			src, err := start(bed)
			if err != nil {
				t.Fatal(err)
			}
			x := &crossing{t: t, ctx: ctx, settings: patient()}
			if x.dst, err = bed.Dovecot(testbed.DovecotOptions{Format: "mdbox", Doveadm: true, Separator: ".", Prefix: "INBOX."}); err != nil {
				t.Fatal(err)
			}
			if _, err := testbed.Bulk(ctx, src.IMAP(), "alice", "pass", testbed.BulkSpec{Messages: 50, Folders: 2}); err != nil {
				t.Fatal(err)
			}
			before, err := testbed.Snapshot(ctx, src.IMAP(), "alice", "pass")
			if err != nil {
				t.Fatal(err)
			}
			client, err := testbed.Login(ctx, src.IMAP(), "alice", "pass")
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			x.ready(src.IMAP())
			var promised uint32
			joinNode(t, ctx, x.store, "one", func() (told []state.Touched) {
				for folder, f := range before.Folders {
					var err error
					if promised, err = client.Append(folder, testbed.Mail{Body: "Subject: at the last moment\r\n\r\n"}); err != nil || promised == 0 {
						t.Errorf("append to %s: uid %d, %v", folder, promised, err)
					}
					told = append(told, state.Touched{Folder: folder, UIDValidity: f.UIDValidity, UID: promised})
				}
				return told
			})
			x.engine.Offer("alice", "pass")
			if rec := x.awaitPhase("alice", state.Migrated); rec.Attempts > 0 || promised == 0 {
				t.Errorf("%d attempts, uid %d promised", rec.Attempts, promised)
			}
			diffAccounts(t, ctx, src.IMAP(), x.dst.IMAP())
		})
	}
}

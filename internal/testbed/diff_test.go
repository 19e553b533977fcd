package testbed

import (
	"testing"
	"time"
)

func TestDiffFindsEachKind(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{})
	seed(t, d, "alice", SeedSpec{Messages: 3, Plain: true, NoLarge: true})
	ignoreModSeq := DiffOptions{IgnoreModSeq: true}
	tests := []struct {
		name string
		opt  DiffOptions
		do   func(c *Client)
		want []string
	}{
		{"flag", ignoreModSeq, func(c *Client) {
			do(t, c, "SELECT Archive")
			do(t, c, `UID STORE 1 FLAGS.SILENT (\Draft)`)
		}, []string{"Archive uid 1: flags ["}},
		{"modseq", DiffOptions{}, func(c *Client) {
			do(t, c, "SELECT Archive")
			do(t, c, `UID STORE 1 FLAGS.SILENT (\Flagged)`)
		}, []string{"Archive: HIGHESTMODSEQ ", "Archive uid 1: flags [\\Draft] != [\\Flagged]"}},
		{"modseq may rise", DiffOptions{ModSeqNotLower: true}, func(c *Client) {
			do(t, c, "SELECT Archive")
			do(t, c, `UID STORE 1 FLAGS.SILENT (\Flagged)`)
			do(t, c, `UID STORE 1 FLAGS.SILENT (\Draft)`)
		}, []string{"Archive uid 1: flags [\\Flagged] != [\\Draft]"}},
		{"new message", ignoreModSeq, func(c *Client) {
			deliver(t, d, "alice", "Emptied", Mail{Body: "Subject: x\r\n\r\n"})
		}, []string{"Emptied: UIDNEXT 4 != 5", "Emptied uid 4: only in the second"}},
		{"new message, UIDNEXT may rise", DiffOptions{IgnoreModSeq: true, UIDNextNotLower: true}, func(c *Client) {
			deliver(t, d, "alice", "Emptied", Mail{Body: "Subject: x\r\n\r\n"})
		}, []string{"Emptied uid 5: only in the second"}},
		{"expunge", ignoreModSeq, func(c *Client) {
			do(t, c, "SELECT Emptied")
			do(t, c, `UID STORE 5 FLAGS.SILENT (\Deleted)`)
			do(t, c, "EXPUNGE")
		}, []string{"Emptied uid 5: only in the first"}},
		{"new folder", ignoreModSeq, func(c *Client) { do(t, c, "CREATE More") }, []string{"More: only in the second, with 0 messages"}},
		{"folder left out", DiffOptions{IgnoreModSeq: true, IgnoreFolder: func(n string) bool { return n == "Extra" }},
			func(c *Client) { do(t, c, "CREATE Extra") }, nil},
		{"recreated folder", ignoreModSeq, func(c *Client) {
			do(t, c, "DELETE More")
			do(t, c, "CREATE More")
		}, []string{"More: UIDVALIDITY "}},
		{"recreated folder, translated", DiffOptions{IgnoreModSeq: true, IgnoreUIDValidity: true}, func(c *Client) {
			do(t, c, "DELETE More")
			do(t, c, "CREATE More")
		}, nil},
		{"lost folder", ignoreModSeq, func(c *Client) { do(t, c, "DELETE More") }, []string{"More: only in the first"}},
		{"subscribe", ignoreModSeq, func(c *Client) { do(t, c, "SUBSCRIBE Junk") }, []string{"Junk: subscribed only in the second"}},
		{"unsubscribe", ignoreModSeq, func(c *Client) { do(t, c, "UNSUBSCRIBE Junk") }, []string{"Junk: subscribed only in the first"}},
	}
	do(t, login(t, d, "alice"), "SELECT Archive (CONDSTORE)") // or Dovecot tracks no modseqs in it
	before := snapshot(t, d, "alice")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.do(login(t, d, "alice"))
			after := snapshot(t, d, "alice")
			wantLines(t, Diff(before, after, test.opt), test.want...)
			before = after
		})
	}
}

// What a server never changes by itself is planted in the snapshot.
func TestDiffOfMessages(t *testing.T) {
	account := func(m Message) *Account {
		return &Account{Folders: map[string]*Folder{"A": {Selectable: true, Messages: map[uint32]Message{7: m}}}}
	}
	at := time.Date(1999, 12, 31, 23, 59, 59, 0, time.FixedZone("", 19800))
	a := account(Message{InternalDate: at, Size: 10, Sum: "aaaa"})
	if lines := Diff(a, account(Message{InternalDate: at.UTC(), Size: 10, Sum: "aaaa"}), DiffOptions{}); lines != nil {
		t.Errorf("the same instant in another zone: %q", lines)
	}
	b := account(Message{InternalDate: at.Add(time.Second), Size: 11, Sum: "bbbb"})
	wantLines(t, Diff(a, b, DiffOptions{}),
		"A uid 7: INTERNALDATE 1999-12-31T18:29:59Z != 1999-12-31T18:30:00Z",
		"A uid 7: RFC822.SIZE 10 != 11", "A uid 7: BODY[] aaaa != bbbb")
	b = &Account{Folders: map[string]*Folder{"A": {Attrs: []string{`\Sent`}}}}
	wantLines(t, Diff(&Account{Folders: map[string]*Folder{"A": {Selectable: true}}}, b, DiffOptions{}),
		`A: attributes [] != [\Sent]`, "A: selectable true != false")
}

package migrate

import (
	"bufio"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/wire"
	"imapferry/state"
)

// deaf returns a client of a server that says all of text, whatever it is asked.
func deaf(text string) *client {
	return &client{side: "source", caps: backend.Caps{"CONDSTORE", "UIDPLUS", "LITERAL+", "MULTIAPPEND", "UNSELECT"},
		d: wire.NewDecoder(wire.NewReader(strings.NewReader(text), 0), limits), w: bufio.NewWriter(io.Discard),
		sent: map[string]bool{}, done: map[string]result{}}
}

// asked is what a worker asks of a server whose answers it has to understand.
var asked = []func(t *testing.T, c *client){
	func(t *testing.T, c *client) {
		a, err := c.survey()
		if err != nil {
			return
		}
		for _, n := range a.names() {
			if s := a.mailboxes[n].status; s.uidValidity == 0 || s.uidNext == 0 {
				t.Errorf("%q has passed the survey with %+v", n, s)
			}
		}
	},
	func(t *testing.T, c *client) {
		l, err := c.list(3, "FLAGS INTERNALDATE")
		for i := 0; err == nil && i < len(l); i++ {
			if l[i].uid < 3 || i > 0 && l[i].uid <= l[i-1].uid || l[i].date.IsZero() && !l[i].odd {
				t.Errorf("listed %+v", l)
			}
		}
	},
	func(t *testing.T, c *client) {
		last := uint32(2)
		_ = c.stream(3, 9, func(m *message, size int64, body io.Reader) error {
			if m.uid <= last || m.uid > 9 || m.raw == "" {
				t.Errorf("streamed %+v after %d", m, last)
			}
			last = m.uid
			n, err := io.Copy(io.Discard, body)
			if err == nil && n != size {
				t.Errorf("%d bytes instead of %d", n, size)
			}
			return err
		})
	},
	func(t *testing.T, c *client) {
		if d, err := c.since("INBOX", 7, 9); err == nil {
			for _, uid := range []uint32{1, 5, math.MaxUint32} {
				if d.below(uid).Max() >= uid {
					t.Errorf("vanished below %d: %s", uid, d.below(uid))
				}
			}
		}
	},
	func(t *testing.T, c *client) {
		if s, err := c.openFolder("INBOX", false); err == nil && s.uidValidity == 0 {
			t.Error("opened without UIDVALIDITY")
		}
	},
	func(t *testing.T, c *client) {
		if s, err := c.statusOf("INBOX"); err == nil && s != nil && s.uidValidity == 0 {
			t.Error("status without UIDVALIDITY")
		}
	},
	func(_ *testing.T, c *client) { _, _ = c.fingerprint() },
	func(_ *testing.T, c *client) { _, _ = c.digests(wire.Set{{From: 1, To: 9}}) },
	func(_ *testing.T, c *client) { _, _ = c.messageIDs(wire.Set{{From: 1, To: 9}}) },
	func(_ *testing.T, c *client) { _, _ = c.search([]string{"a"}) },
	func(_ *testing.T, c *client) { _, _ = c.layout() },
	func(_ *testing.T, c *client) { _, _ = c.quota() },
	func(_ *testing.T, c *client) { _, _ = c.uses() },
	func(_ *testing.T, c *client) { _, _ = c.acls([]string{"INBOX"}) },
	func(_ *testing.T, c *client) { _, _, _ = c.entries([]string{"INBOX"}) },
	func(_ *testing.T, c *client) { _ = c.enableQresync() },
	func(_ *testing.T, c *client) { _ = c.awaitContinue() },
}

// FuzzSession lets a server say anything to a worker that asks something: it never panics, and takes nothing for an
// answer that is not one (I9).
func FuzzSession(f *testing.F) {
	for i, said := range []string{
		"* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\nw1 OK x\r\n* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\nw2 OK\r\n* LSUB () NIL {5}\r\nINBOX\r\nw3 OK\r\n",
		"* 1 FETCH (UID 4 FLAGS (\\Seen a) INTERNALDATE \"" + fakeDate + "\")\r\n* 2 FETCH (FLAGS (b) UID 3)\r\nw1 OK\r\n",
		"* 1 FETCH (UID 3 FLAGS () INTERNALDATE \"" + fakeDate + "\" BODY[] {3}\r\nabc)\r\n* 2 FETCH (UID 4 INTERNALDATE \"" + fakeDate + "\" BODY[] \"q\")\r\nw1 OK\r\n",
		"* 5 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 8] x\r\n* OK [HIGHESTMODSEQ 9] x\r\n* VANISHED (EARLIER) 1:3,5\r\n* 1 FETCH (UID 4 FLAGS () MODSEQ (9))\r\nw1 OK\r\n",
		"* 5 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nw1 OK [READ-ONLY] x\r\n",
		"* STATUS INBOX (UIDVALIDITY 3 UIDNEXT 4 MESSAGES 0)\r\nw1 OK\r\n",
		"* 1 EXISTS\r\n* OK [UIDVALIDITY 7]\r\nw1 OK\r\n* 1 FETCH (UID 1 INTERNALDATE \"" + fakeDate + "\" RFC822.SIZE 3 BODY[HEADER] {3}\r\nabc)\r\nw2 OK\r\nw3 OK\r\n",
		"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\nw1 OK\r\n",
		"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (MESSAGE-ID)] {19}\r\nMessage-ID: <a>\r\n\r\n)\r\nw1 OK\r\n",
		"* SEARCH 1 2 3\r\n* ESEARCH (TAG \"w1\") UID ALL 1:3\r\nw1 OK\r\n",
		"* LIST (\\Noselect) \"/\" \"\"\r\nw1 OK\r\n* NAMESPACE ((\"\" \"/\")(\"#m/\" \"/\" \"X\" (\"a\"))) NIL ((\"p\" NIL))\r\nw2 OK\r\n",
		"* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 10 512 MESSAGE 1 9)\r\nw1 OK\r\n",
		"* LIST (\\Sent \\Trash) \".\" Sent\r\nw1 OK\r\n",
		"* ACL INBOX alice lrs -bob x\r\nw1 OK\r\n",
		"* METADATA INBOX (/private/comment \"x\" /shared/a NIL /b {1}\r\nc)\r\nw1 OK\r\n",
		"* ENABLED QRESYNC\r\nw1 OK\r\n", "* BYE [UNAVAILABLE] x\r\n", "+ go on\r\n", "w1 NO [X \"]\"] no\r\n", "w9 OK\r\n", "* 1 FETCH (((((\r\n", "* 1 FETCH (BODY[] {9223372036854775807}\r\n",
	} {
		f.Add(byte(i), said)
	}
	f.Fuzz(func(t *testing.T, what byte, said string) {
		asked[int(what)%len(asked)](t, deaf(said))
	})
}

// FuzzCode feeds response codes to what reads them: what does not say exactly what was due is never taken for it.
func FuzzCode(f *testing.F) {
	for _, code := range []string{"UIDNEXT 7", "UIDVALIDITY 99999999999", "HIGHESTMODSEQ -1", "APPENDUID 1 5:7", "APPENDUID 1 7:5", "APPENDUID 1 5,6,7", "COPYUID 1 1:3 5:7", "COPYUID 1 1:3 5:8", "COPYUID", ""} {
		f.Add(code)
	}
	want := wire.Range{From: 5, To: 7}
	f.Fuzz(func(t *testing.T, code string) {
		var s status
		s.takeCode(code)
		if (s.uidNext == math.MaxUint32 || s.uidValidity == math.MaxUint32) && !strings.Contains(code, "4294967295") {
			t.Errorf("%q is taken for %+v", code, s)
		}
		a := &appender{folder: "INBOX"}
		if a.check(code, want) == nil {
			_, uids, _ := strings.Cut(strings.TrimSpace(code), " ")
			_, uids, _ = strings.Cut(uids, " ")
			if set, err := wire.ParseSet(uids); err != nil || set.String() != want.String() {
				t.Errorf("%q is taken for %s", code, want)
			}
		}
		if checkCopied("INBOX", code, want) == nil && !strings.Contains(code, want.String()) {
			t.Errorf("%q is taken for a copy to %s", code, want)
		}
	})
}

// FuzzNote reads what a store may have kept as a note: it never panics, and what is read is written back as it is.
func FuzzNote(f *testing.F) {
	f.Add(note{Done: 10, Gap: 12, Intent: []intent{{12, 100, 7}, {13, 200, 8}}, Dirty: true, Given: true, Bodies: 3}.bytes(), uint32(12))
	f.Add([]byte(`{"d":4294967295,"i":[[1,2,3],[4294967295,0,0]],"g":7}`), uint32(math.MaxUint32))
	f.Add([]byte(`{"i":[[-1,99999999999999999999,1.5]]}`), uint32(0))
	f.Add([]byte(`null`), uint32(1))
	f.Fuzz(func(t *testing.T, text []byte, uid uint32) {
		n, err := readNote(state.Folder{Name: "INBOX", Engine: text})
		if err != nil {
			return
		}
		again, err := readNote(state.Folder{Engine: n.bytes()})
		if err != nil || !reflect.DeepEqual(again.bytes(), n.bytes()) {
			t.Errorf("%s became %s, %v", text, again.bytes(), err)
		}
		if n.explains(&message{uid: uid, date: time.Unix(1, 0), size: -7}) && uid >= n.Done && len(n.Intent) == 0 {
			t.Errorf("%s explains uid %d", text, uid)
		}
	})
}

// FuzzDoveadm reads what doveadm may answer.
func FuzzDoveadm(f *testing.F) {
	for _, s := range []string{`[["doveadmResponse",[],"f"]]`, `[["error",{"type":"exitCode","exitCode":68},"f"]]`, `[]`, `[[]]`, `[["error",7,"f"]]`, `[[null,null]]`, `{}`, ``} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if readDoveadm([]doveadmCommand{{name: "mailboxUpdate"}}, strings.NewReader(s)) == nil && !strings.Contains(s, "doveadmResponse") {
			t.Errorf("%q is taken for success", s)
		}
	})
}

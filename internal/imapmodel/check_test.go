package imapmodel

import (
	"bufio"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Three messages are open, with UIDs 3, 5 and 9 of which this session, number 0, has put its keyword on the last; UID 7 was
// expunged. Somebody has asked for the removal of UID 5.
func opened(t *testing.T) *Session {
	t.Helper()
	a := &Account{user: "u", folders: map[string]*folder{}}
	s := newSession(a, &Load{Seed: 1}, 0, &Outcome{})
	s.w = bufio.NewWriter(io.Discard)
	s.rng = rand.New(rand.NewPCG(1, 1))
	s.caps = []string{"CONDSTORE", "ESEARCH", "IMAP4REV1", "MULTIAPPEND", "SEARCHRES"}
	f := a.newFolder("INBOX", nil)
	f.validity, f.next = 77, 10
	for _, uid := range []uint32{3, 5, 7, 9} {
		if err := a.store(f, uid, letter("u-"+string(rune('0'+uid))), uid == 5 || uid == 7); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.remove(f, 7); err != nil {
		t.Fatal(err)
	}
	s.view = &view{in: f, stamp: a.tick(), next: 10, open: true, keywords: map[string]bool{`\Seen`: true, "$Own0": true}}
	for _, uid := range []uint32{3, 5, 9} {
		s.view.msgs = append(s.view.msgs, &message{uid: uid, old: true})
	}
	s.know(f, 9, "$Own0")
	return s
}

func (s *Session) feed(lines string) (err error) {
	s.r = &responses{b: bufio.NewReader(strings.NewReader(lines)), trace: func(string) {}}
	for {
		r, err := s.r.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.check(r)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Session) folder() *folder { return s.a.folders["INBOX"] }

func (s *Session) all(byUID bool, ask ...string) *command {
	text := "1:*"
	return s.fetchOf(byUID, s.view.msgs, text, ask, ask, false)
}

func (s *Session) storeLast(op string, change flags) *command {
	return s.storeOf(true, s.view.msgs[2:], "9", op, change, false)
}

// Every violation is found, and what is legal beside it is not.
func TestCheck(t *testing.T) {
	send := func(names ...string) func(*Session) []*command {
		return func(*Session) (all []*command) {
			for _, n := range names {
				c := plain(n, "")
				c.serial = n == "FETCH"
				all = append(all, c)
			}
			return all
		}
	}
	fetch := func(ask ...string) func(*Session) []*command {
		return func(s *Session) []*command { return []*command{s.all(false, ask...)} }
	}
	one := func(make func(*Session) *command) func(*Session) []*command {
		return func(s *Session) []*command { return []*command{make(s)} }
	}
	selecting := one(func(s *Session) *command { return s.openAs("SELECT", s.folder()) })
	listing := func(flags3, flags5, flags9 string) string {
		return "* 1 FETCH (UID 3 FLAGS (" + flags3 + "))\r\n* 2 FETCH (UID 5 FLAGS (" + flags5 + "))\r\n* 3 FETCH (UID 9 FLAGS (" + flags9 + "))\r\n"
	}
	const head = "* FLAGS (\\Seen $Own0)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 77] .\r\n* OK [UIDNEXT 10] .\r\n"
	tests := []struct {
		name     string
		commands func(*Session) []*command
		lines    string
		want     string // in the error; empty: legal
	}{
		{"new mail", nil, "* 4 EXISTS\r\n* 1 RECENT\r\n", ""},
		{"fewer messages", nil, "* 2 EXISTS\r\n", "EXISTS falls from 3 to 2"},
		{"expunged inside NOOP", send("NOOP"), "* 2 EXPUNGE\r\na1 OK .\r\n", ""},
		{"expunged beside commands", nil, "* 2 EXPUNGE\r\n", "no command is in flight"},
		{"expunged inside FETCH", send("FETCH"), "* 2 EXPUNGE\r\n", "FETCH in flight"},
		{"expunged inside FETCH and NOOP", send("FETCH", "NOOP"), "* 2 EXPUNGE\r\n", "FETCH, NOOP in flight"},
		{"expunged behind FETCH", send("FETCH", "NOOP"), "a1 OK .\r\n* 2 EXPUNGE\r\na2 OK .\r\n", ""},
		{"expunged unasked", send("NOOP"), "* 1 EXPUNGE\r\n", "nobody has asked for it"},
		{"number too high", send("NOOP"), "* 4 EXPUNGE\r\n", "sequence number 4 of 3"},
		{"vanished", send("NOOP"), "* VANISHED 5\r\n", "without QRESYNC"},
		{"flags", nil, "* 3 FETCH (FLAGS (\\Seen $Own0))\r\n", ""},
		{"own keyword lost", nil, "* 3 FETCH (FLAGS (\\Seen))\r\n", "this session has left ($Own0)"},
		{"flag beside FLAGS", nil, "* 1 FETCH (FLAGS (Other))\r\n", "not among FLAGS"},
		{"other UID", nil, "* 2 FETCH (UID 6)\r\n", "has UID 6, had 5"},
		{"new message with an old UID", nil, "* 4 EXISTS\r\n* 4 FETCH (UID 9)\r\n", "message 3 has 9"},
		{"new message below UIDNEXT", nil, "* 4 EXISTS\r\n* 2 EXPUNGE\r\n", "no command is in flight"},
		{"modseq unasked", nil, "* 1 FETCH (UID 3 MODSEQ (4))\r\n", "nobody has enabled CONDSTORE"},
		{"size", nil, "* 1 FETCH (UID 3 RFC822.SIZE 1)\r\n", "RFC822.SIZE of u-3"},
		{"date", nil, "* 1 FETCH (INTERNALDATE \"01-Jan-2001 00:00:00 +0000\")\r\n", "INTERNALDATE is"},
		{"another message", nil, "* 1 FETCH (BODY[HEADER.FIELDS (X-MODEL-ID)] {19}\r\nX-Model-Id: u-5\r\n\r\n)\r\n", "is message u-5, but was u-3"},
		{"whole listing", fetch("UID", "FLAGS"), listing("", "", "$Own0") + "a1 OK .\r\n", ""},
		{"half a listing", fetch("UID", "FLAGS"), "* 1 FETCH (UID 3 FLAGS ())\r\na1 OK .\r\n", "no UID of UID 9"},
		{"an item is missing", fetch("UID", "MODSEQ"), listing("", "", "$Own0") + "a1 OK .\r\n", "no MODSEQ of UID 3"},
		{"refused without reason", one(func(s *Session) *command { return s.storeLast("+FLAGS", `\Seen`) }), "a1 NO .\r\n", "though no message is gone"},
		{"stored", one(func(s *Session) *command { return s.storeLast("-FLAGS", `$Own0`) }), "* 3 FETCH (UID 9 FLAGS ())\r\na1 OK .\r\n", ""},
		{"not stored", one(func(s *Session) *command { return s.storeLast("-FLAGS", `$Own0`) }), "* 3 FETCH (UID 9 FLAGS ($Own0))\r\na1 OK .\r\n", "has flags ($Own0)"},
		{"unknown tag", nil, "a9 OK .\r\n", "not in flight"},
		{"tag twice", send("NOOP"), "a1 OK .\r\na1 OK .\r\n", "not in flight"},
		{"bad", send("NOOP"), "a1 BAD .\r\n", "NOOP is answered BAD"},
		{"continuation", nil, "+ go on\r\n", "nobody waits for"},
		{"unasked answer", send("NOOP"), "* SEARCH 1\r\n", "no command in flight asks for"},
		{"bye", nil, "* BYE [UNAVAILABLE] moved\r\n", ""},
		{"bye without reason", nil, "* BYE enough\r\n", "BYE [] enough"},
		{"after bye", nil, "* BYE [UNAVAILABLE] moved\r\n* 4 EXISTS\r\n", "EXISTS after BYE"},
		{"same capabilities", send("CAPABILITY"), "* CAPABILITY IMAP4rev1 ESEARCH CONDSTORE MULTIAPPEND SEARCHRES\r\na1 OK .\r\n", ""},
		{"other capabilities", send("CAPABILITY"), "* CAPABILITY IMAP4rev1\r\n", "capabilities are"},
		{"opened", selecting, head + "a1 OK [READ-WRITE] .\r\n", ""},
		{"news of before, then opened", selecting, "* 4 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen))\r\n" + head + "a1 OK [READ-WRITE] .\r\n", ""},
		{"news of before with a new keyword, then opened", selecting,
			"* FLAGS (New)\r\n* 1 FETCH (FLAGS (New))\r\n" + head + "a1 OK [READ-WRITE] .\r\n", ""},
		{"opened to read", selecting, head + "a1 OK [READ-ONLY] .\r\n", "SELECT ends with"},
		{"opened half", selecting, "* 3 EXISTS\r\na1 OK [READ-WRITE] .\r\n", "without EXISTS, FLAGS or UIDVALIDITY"},
		{"messages lost", selecting, strings.Replace(head, "3 EXISTS", "1 EXISTS", 1) + "a1 OK [READ-WRITE] .\r\n", "2 are stored for certain"},
		{"UIDVALIDITY changed", selecting, strings.Replace(head, "77", "78", 1), "UIDVALIDITY of INBOX is 78, was 77"},
		{"UIDNEXT fell", selecting, strings.Replace(head, "NEXT 10", "NEXT 9", 1), "UIDNEXT of INBOX is 9, was 10"},
		{"back again", selecting, head + "a1 OK [READ-WRITE] .\r\n* 2 FETCH (UID 7)\r\n", "there again after it was expunged"},
		{"a message is missing", one(func(s *Session) *command {
			_ = s.a.store(s.folder(), 10, "u-10", false)
			s.view.stamp = s.a.tick()
			return s.all(false, "UID", "FLAGS")
		}), listing("", "", "$Own0") + "a1 OK .\r\n", "UID 10 of INBOX (u-10) is missing"},
		{"bare LF", nil, "* 4 EXISTS\n", "malformed response"},
		{"two spaces", nil, "* 1 FETCH  (UID 3)\r\n", "malformed response"},
		{"cut short", nil, "* 1 FETCH (BODY[] {100}\r\nX", "unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := opened(t)
			if test.commands != nil {
				for _, c := range test.commands(s) {
					if err := s.send(c); err != nil {
						t.Fatal(err)
					}
				}
			}
			judge(t, s.feed(test.lines), test.want)
		})
	}
}

func judge(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("legal, but: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error is %v; want one with %q", err, want)
	}
}

// What extended clients are told, and what makes their caches wrong (RFC 7162).
func TestCheckExtended(t *testing.T) {
	tests := []struct{ name, lines, want string }{
		{"vanished", "* VANISHED 5\r\n", ""},
		{"vanished, unknown", "* VANISHED 4\r\n", "is not in the folder"},
		{"vanished, unasked", "* VANISHED 9\r\n", "nobody has asked for it"},
		{"expunged", "* 2 EXPUNGE\r\n", "in place of VANISHED"},
		{"flags without MODSEQ", "* 1 FETCH (UID 3 FLAGS ())\r\n", "flags without MODSEQ"},
		{"flags without UID", "* 1 FETCH (MODSEQ (4) FLAGS ())\r\n", "flags without UID"},
		{"MODSEQ falls", "* 1 FETCH (UID 3 MODSEQ (4))\r\n* 1 FETCH (UID 3 MODSEQ (3))\r\n", "is 3, was 4"},
		{"earlier, unasked", "* VANISHED (EARLIER) 5\r\n", "no client has asked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := opened(t)
			s.condstore, s.qresync = true, true
			if err := s.send(plain("NOOP", "")); err != nil {
				t.Fatal(err)
			}
			judge(t, s.feed(test.lines), test.want)
		})
	}
}

func TestCheckResync(t *testing.T) {
	const head = "* OK [CLOSED] .\r\n* FLAGS (\\Seen $Own0)\r\n* 2 EXISTS\r\n* OK [UIDVALIDITY 77] .\r\n* OK [UIDNEXT 10] .\r\n* OK [HIGHESTMODSEQ 9] .\r\n"
	tests := []struct{ name, lines, want string }{
		{"right", "* VANISHED (EARLIER) 1:2,5\r\n* 2 FETCH (UID 9 MODSEQ (8) FLAGS (\\Seen $Own0))\r\n", ""},
		{"a message too many", "", "by the resynchronisation 3"},
		{"flags of old", "* VANISHED (EARLIER) 5\r\n", "has flags ()"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := opened(t)
			s.condstore, s.qresync = true, true
			c := s.openAs("SELECT", s.folder())
			c.opening.since = &cache{validity: 77, modseq: 5, flags: map[uint32]flags{3: "", 5: "", 9: ""}}
			if err := s.send(c); err != nil {
				t.Fatal(err)
			}
			judge(t, s.feed(head+test.lines+"a1 OK [READ-WRITE] .\r\n"), test.want)
		})
	}
}

// Verify finds what the ledger does not explain.
func TestDifferences(t *testing.T) {
	tests := []struct {
		name string
		uids []uint32
		want string
	}{
		{"as it is", []uint32{3, 9}, ""},
		{"not yet expunged", []uint32{3, 5, 9}, ""},
		{"lost", []uint32{3}, "UID 9 (u-9) is lost"},
		{"back again", []uint32{3, 7, 9}, "UID 7 (u-7) is there again"},
		{"doubled", []uint32{3, 9, 11}, "a message is doubled"},
		{"not answered", []uint32{3, 9, 12}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := opened(t)
			f := s.folder()
			f.copy(11).id, f.copy(12).id = "u-3", "u-20"
			s.a.lost = []lostWrite{{f, "u-20"}}
			v := &view{in: f}
			for _, uid := range test.uids {
				v.msgs = append(v.msgs, &message{uid: uid})
			}
			if got := strings.Join(s.a.differences(f, v), "; "); !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
				t.Errorf("differences: %q; want %q", got, test.want)
			}
		})
	}
}

// The letter tells its identifier, and is made of the same bytes each time.
func TestLetter(t *testing.T) {
	l := letter("user-s1-7")
	first, second := l.body(), l.body()
	if first != second || letterIn(first) != l || !l.date().Equal(l.date().Truncate(time.Second)) {
		t.Error("a letter is not the same twice")
	}
}

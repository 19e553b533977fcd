package imapmodel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// seeded finds a seed with which make gives a command that is wanted.
func seeded(t *testing.T, s *Session, make func() *command, wanted func(*command) bool) *command {
	t.Helper()
	for seed := range uint64(1000) {
		s.rng = rand.New(rand.NewPCG(seed, 1))
		if c := make(); c != nil && wanted(c) {
			return c
		}
	}
	t.Fatal("no seed gives the command")
	return nil
}

// Commands whose answers must go with what the account knows.
func TestCheckAnswers(t *testing.T) {
	text := func(want string) func(*command) bool {
		return func(c *command) bool { return c.parts[0] == want }
	}
	letters := func(n int) func(*command) bool { return func(c *command) bool { return len(c.parts) == 1+2*n } }
	find := func(s *Session) func() *command { return func() *command { return s.search(true) } }
	tests := []struct {
		name   string
		make   func(*Session) func() *command
		wanted func(*command) bool
		lines  string
		want   string
	}{
		{"appended", appends, letters(1), "a1 OK [APPENDUID 77 10] .\r\n", ""},
		{"two appended", appends, letters(2), "a1 OK [APPENDUID 77 10:11] .\r\n", ""},
		{"one of two appended", appends, letters(2), "a1 OK [APPENDUID 77 10] .\r\n", "tells [10] for 2 messages"},
		{"appended below UIDNEXT", appends, letters(1), "a1 OK [APPENDUID 77 9] .\r\n", "UIDNEXT was 10"},
		{"appended elsewhere", appends, letters(1), "a1 OK [APPENDUID 78 10] .\r\n", "UIDVALIDITY of INBOX is 78"},
		{"appended without UID", appends, letters(1), "a1 OK .\r\n", "without APPENDUID"},
		{"copied", copies, text(`UID COPY 3 "INBOX"`), "a1 OK [COPYUID 77 3 10] .\r\n", ""},
		{"another one copied", copies, text(`UID COPY 3 "INBOX"`), "a1 OK [COPYUID 77 5 10] .\r\n", "UID 5, which was not to be copied"},
		{"copied below UIDNEXT", copies, text(`UID COPY 3 "INBOX"`), "a1 OK [COPYUID 77 3 8] .\r\n", "UIDNEXT was 10"},
		{"copied over another", copies, text(`UID COPY 3 "INBOX"`), "a1 OK [COPYUID 77 3 9] .\r\n", "UID 9 of INBOX is given"},
		{"copied twice", copies, text(`UID COPY 3 "INBOX"`), "a1 OK [COPYUID 77 3 10:11] .\r\n", "tells 1 and 2 UIDs"},
		{"not copied", copies, text(`UID COPY 3 "INBOX"`), "a1 OK .\r\n", "though no message is gone"},
		{"found", find, text("UID SEARCH KEYWORD $Own0"), "* SEARCH 9\r\na1 OK .\r\n", ""},
		{"found with others", find, text("UID SEARCH ALL"), "* SEARCH 3 9 11\r\na1 OK .\r\n", ""},
		{"not found", find, text("UID SEARCH KEYWORD $Own0"), "* SEARCH\r\na1 OK .\r\n", "does not find UID 9"},
		{"found, but expunged", find, text("UID SEARCH ALL"), "* SEARCH 3 7 9\r\na1 OK .\r\n", "finds UID 7"},
		{"found, no UIDs", find, text("UID SEARCH RETURN (ALL) ALL"), "* ESEARCH (TAG \"a1\") ALL 1:3\r\n", "tells no UIDs"},
		{"found, other tag", find, text("UID SEARCH RETURN (ALL) ALL"), "* ESEARCH (TAG \"a2\") UID ALL 3\r\n", "no command in flight"},
		{"found, wrong count", find, text("UID SEARCH RETURN (SAVE ALL COUNT) ALL"), "* ESEARCH (TAG \"a1\") UID COUNT 1 ALL 3,9\r\n", "counts 1 and lists 2"},
		{"listed", lists, text(`LIST "" "*"`), "* LIST () \"/\" INBOX\r\na1 OK .\r\n", ""},
		{"listed twice", lists, text(`LIST "" "*"`), "* LIST () \"/\" INBOX\r\n* LIST () \"/\" INBOX\r\na1 OK .\r\n", "lists INBOX 2 times"},
		{"not listed", lists, text(`LIST "" "*"`), "a1 OK .\r\n", "lists INBOX 0 times"},
		{"listed, but deleted", lists, text(`LIST "" "*"`), "* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"Own 0-1\"\r\na1 OK .\r\n", "which is deleted"},
		{"counted", numbers, text(`STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)`), "* STATUS INBOX (MESSAGES 2 UIDNEXT 10 UIDVALIDITY 77 UNSEEN 0)\r\na1 OK .\r\n", ""},
		{"counted short", numbers, text(`STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)`), "* STATUS INBOX (MESSAGES 1)\r\n", "2 are stored for certain"},
		{"enabled", enables, text("ENABLE CONDSTORE"), "* ENABLED CONDSTORE\r\na1 OK .\r\n", ""},
		{"not enabled", enables, text("ENABLE CONDSTORE"), "* ENABLED\r\na1 OK .\r\n", "answered without it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := opened(t)
			if err := s.send(seeded(t, s, test.make(s), test.wanted)); err != nil {
				t.Fatal(err)
			}
			judge(t, s.feed(test.lines), test.want)
		})
	}
}

func appends(s *Session) func() *command {
	s.caps = append(s.caps, "LITERAL+")
	return func() *command { return s.append(false) }
}

func copies(s *Session) func() *command { return func() *command { return s.copyTo(true, false) } }

func lists(s *Session) func() *command { return s.listAll }

func numbers(s *Session) func() *command {
	s.view = nil
	return s.statusFor
}

func enables(s *Session) func() *command {
	s.view, s.caps = nil, append(s.caps, "ENABLE")
	return s.enable
}

// A folder of one's own that LIST misses once may have been made a moment ago; missed twice, it is lost.
func TestCheckMissed(t *testing.T) {
	s := opened(t)
	s.a.newFolder("Own 0-1", s)
	for i, want := range []string{"", "lists Own 0-1 0 times"} {
		if err := s.send(seeded(t, s, s.listAll, func(c *command) bool { return c.parts[0] == `LIST "" "*"` })); err != nil {
			t.Fatal(err)
		}
		judge(t, s.feed(fmt.Sprintf("* LIST () \"/\" INBOX\r\na%d OK .\r\n", i+1)), want)
	}
}

// A set is read as it was written.
func TestSet(t *testing.T) {
	for _, text := range []string{"1", "1:3", "1:3,7,9:10", "4294967295"} {
		set, err := parseSet(text)
		if got := formatSet(set); err != nil || got != text {
			t.Errorf("formatSet(parseSet(%q)) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "1:", "*", "1:4294967295", "x"} {
		if set, err := parseSet(text); err == nil {
			t.Errorf("parseSet(%q) = %s; want an error", text, fmt.Sprint(len(set)))
		}
	}
}

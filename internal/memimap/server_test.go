package memimap

import (
	"context"
	"io"
	"log"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"imapferry/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, uidValidity uint32) *Server {
	t.Helper()
	s, err := Start(Options{Users: map[string]string{"alice": "pass"}, UIDValidity: uidValidity, Log: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func login(t *testing.T, s *Server) *testbed.Client {
	t.Helper()
	c, err := testbed.Login(context.Background(), s.Addr(), "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func do(t *testing.T, c *testbed.Client, parts ...any) []testbed.Response {
	t.Helper()
	replies, err := c.Do(parts...)
	if err != nil {
		t.Fatalf("%v: %v", parts, err)
	}
	return replies
}

// code returns the response code of the completion.
func code(replies []testbed.Response) string { return replies[len(replies)-1].Code }

func TestLoginIsProven(t *testing.T) {
	s := start(t, 1)
	for _, who := range [][2]string{{"alice", "wrong"}, {"bob", "pass"}} {
		if c, err := testbed.Login(t.Context(), s.Addr(), who[0], who[1]); err == nil {
			c.Close()
			t.Errorf("%s got in with %q", who[0], who[1])
		}
	}
}

// TestWhatTheLibraryLacks walks through what a session adds.
func TestWhatTheLibraryLacks(t *testing.T) {
	s := start(t, 700)
	c := login(t, s)
	for _, want := range []string{"UIDPLUS", "LITERAL+", "LIST-STATUS", "NAMESPACE", "MOVE"} {
		if !c.Has(want) {
			t.Errorf("no %s", want)
		}
	}
	for uid, want := range []string{"APPENDUID 700 1", "APPENDUID 700 2", "APPENDUID 700 3"} {
		if got := code(do(t, c, `APPEND INBOX (\Deleted) `, testbed.Literal("Subject: x\r\n\r\n"))); got != want {
			t.Errorf("append %d: %s, want %s", uid, got, want)
		}
	}
	do(t, c, "SELECT INBOX")
	if got := code(do(t, c, "UID COPY 1,3 INBOX")); got != "COPYUID 700 1,3 4:5" {
		t.Errorf("copy within a folder: %s", got)
	}
	do(t, c, "UID EXPUNGE 2:4")
	a := snapshot(t, s)
	if m := a.Folders["INBOX"].Messages; len(m) != 2 || m[1].Sum == "" || m[5].Sum != m[1].Sum || m[5].Flags != m[1].Flags {
		t.Errorf("after copy and expunge: %+v", m)
	}
	if len(a.Folders) != 1 {
		t.Errorf("a folder was left: %v", a.Folders)
	}
	do(t, c, "RENAME INBOX Old")
	if a := snapshot(t, s); a.Folders["INBOX"] == nil || len(a.Folders["INBOX"].Messages) != 0 || len(a.Folders["Old"].Messages) != 2 {
		t.Errorf("after the rename of INBOX: %+v", a.Folders)
	}
}

// TestFetchWaitsForExists: a message that another session has appended is not fetched before it was announced.
func TestFetchWaitsForExists(t *testing.T) {
	s := start(t, 1)
	c, other := login(t, s), login(t, s)
	do(t, c, "SELECT INBOX")
	do(t, other, "APPEND INBOX () ", testbed.Literal("Subject: x\r\n\r\n"))
	for _, want := range []int{0, 1} {
		fetched := 0
		for _, r := range do(t, c, "UID FETCH 1:* (FLAGS)") {
			if len(r.Values) > 1 && r.Values[1].Text == "FETCH" {
				if fetched++; r.Values[0].Text != "1" {
					t.Errorf("fetched with sequence number %s", r.Values[0].Text)
				}
			}
		}
		if fetched != want {
			t.Errorf("%d fetched, want %d", fetched, want)
		}
		do(t, c, "NOOP")
	}
}

// TestFetchInParts fetches more than goes at once.
func TestFetchInParts(t *testing.T) {
	s := start(t, 1)
	c := login(t, s)
	for range 2*atOnce + 7 {
		do(t, c, "APPEND INBOX () ", testbed.Literal("Subject: x\r\n\r\n"+strings.Repeat("y", 5000)))
	}
	if got := len(snapshot(t, s).Folders["INBOX"].Messages); got != 2*atOnce+7 {
		t.Errorf("%d messages", got)
	}
}

func snapshot(t *testing.T, s *Server) *testbed.Account {
	t.Helper()
	a, err := testbed.Snapshot(t.Context(), s.Addr(), "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

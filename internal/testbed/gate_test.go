package testbed

import (
	"slices"
	"strings"
	"testing"
)

// A command that is kept back reaches the server when it is let pass, not before; other users and connections without a
// session's id go on.
func TestGate(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	d := dovecot(t, DovecotOptions{})
	gate, err := OpenGate(d.IMAP(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gate.Close)
	kept := gate.Keep("alice", 3)
	c := through(t, gate, "alice", `ID ("x-session-id" "one")`)
	for _, free := range []*Client{through(t, gate, "alice"), through(t, gate, "bob", `ID ("x-session-id" "two")`)} {
		for range 4 {
			do(t, free, "NOOP")
		}
	}
	do(t, c, "NOOP")
	if _, err := c.Append("INBOX", Mail{Body: "Subject: one\r\n\r\nx NOOP\r\nx NOOP\r\n"}); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string)
	go func() {
		all, err := c.Do("STATUS INBOX (MESSAGES)")
		if err != nil {
			t.Error(err)
		}
		var text string
		for _, r := range all {
			text += withoutVarying(r) + "\n"
		}
		answer <- text
	}()
	<-kept.Reached()
	deliver(t, d, "alice", "INBOX", Mail{Body: "Subject: two\r\n\r\n"})
	kept.Pass()
	if text := <-answer; !strings.Contains(text, "(MESSAGES 2)") {
		t.Errorf("heard %q; want two messages", text)
	}
	if got := kept.Commands(); !slices.Equal(got, []string{"NOOP", "APPEND", "STATUS"}) {
		t.Errorf("commands %v", got)
	}

	first := gate.Keep("carol", 0)
	go func() {
		<-first.Reached()
		first.Pass()
	}()
	through(t, gate, "carol", `ID ("x-session-id" "three")`)
	if got := first.Commands(); len(got) > 0 {
		t.Errorf("commands %v of a session that has only logged in", got)
	}
}

// through logs in through the gate, after the commands.
func through(t *testing.T, gate *Gate, user string, commands ...string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), gate.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, command := range append(commands, "LOGIN "+user+" pass") {
		do(t, c, command)
	}
	return c
}

// What scripted clients hear does not depend on the user, and a refusal is an error.
func TestScriptedClients(t *testing.T) {
	Need(t, "dovecot", "doveadm", "curl", "python3")
	d := dovecot(t, DovecotOptions{})
	fill := func(user string) {
		c := login(t, d, user)
		do(t, c, "CREATE Archive")
		for range 10 {
			if _, err := c.Append("INBOX", Mail{Flags: `\Seen`, Body: "Subject: one\r\n\r\ntext\r\n"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	clients := map[string]func(user string) (string, error){
		"imaplib": func(user string) (string, error) { return Imaplib(t.Context(), d.IMAPS(), user, "pass", d.CertFile) },
		"pipeline": func(user string) (string, error) {
			heard, err := Pipeline(t.Context(), d.IMAPS(), user, "pass", [][]string{
				{"SELECT Archive", "APPEND INBOX {2+}\r\n\r\n", "NOOP"}, {"SELECT INBOX", "FETCH 1 (UID FLAGS BODY[])"},
			}, WithCA(d.CertFile))
			slices.Sort(heard) // Dovecot need not answer in order
			return strings.Join(heard, "\n"), err
		},
		"curl": func(user string) (string, error) {
			r, err := Curl(t.Context(), d.IMAPS(), user, "pass", t.TempDir(), []CurlTransfer{
				{Path: "Archive", Upload: "Subject: two\r\n\r\n"}, {Path: "Archive;UID=1"}, {Path: "Archive", Request: "NOOP"},
			}, WithCA(d.CertFile))
			if err == nil && r.ExitCode != 0 {
				err = &RefusedError{Response{Status: "NO", Text: r.Errors}}
			}
			return r.Output, err
		},
	}
	for _, name := range []string{"pipeline", "curl", "imaplib"} {
		if heard, err := clients[name]("carol"); err == nil {
			t.Errorf("%s: no error without the folder Archive; heard %s", name, heard)
		}
	}
	fill("alice")
	fill("bob")
	for _, name := range []string{"pipeline", "curl", "imaplib"} {
		a, err := clients[name]("alice")
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, a)
		}
		b, err := clients[name]("bob")
		if err != nil || a != b || a == "" {
			t.Errorf("%s: %v; heard\n%s\nand\n%s", name, err, a, b)
		}
	}
}

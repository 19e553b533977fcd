package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"imapferry/internal/testbed"
)

// session logs in through the proxy and stays.
func (x *crossing) session(user string) *testbed.Client {
	x.t.Helper()
	c, err := testbed.Login(x.ctx, x.addr, user, "pass", x.ca())
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(c.Close)
	return c
}

// deliver appends n messages to INBOX at the source, the first with UID uid unless that is 0.
func (x *crossing) deliver(uid uint32, n int) {
	x.t.Helper()
	if uid > 0 {
		if err := x.source.SetNextUID(x.ctx, "alice", "INBOX", uid); err != nil {
			x.t.Fatal(err)
		}
	}
	for i := range n {
		m := testbed.Mail{Body: fmt.Sprintf("Subject: %d.%d\r\n\r\nx\r\n", uid, i)}
		if _, err := testbed.Append(x.ctx, x.source.IMAP(), "alice", "pass", "INBOX", m); err != nil {
			x.t.Fatal(err)
		}
	}
}

// twins makes INBOX on both sides with the same UIDVALIDITY.
func (x *crossing) twins(user string) {
	x.t.Helper()
	status := []string{"mailbox", "status", "-u", user, "uidvalidity", "INBOX"}
	said, err := x.target.Doveadm(x.ctx, status...)
	if err == nil {
		_, err = x.source.Doveadm(x.ctx, status...)
	}
	if err == nil {
		_, value, _ := strings.Cut(strings.TrimSpace(string(said)), "uidvalidity=")
		_, err = x.source.Doveadm(x.ctx, "mailbox", "update", "-u", user, "--uid-validity", value, "INBOX")
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// cutover releases a user whom the policy keeps waiting.
func (x *crossing) cutover(user string) userStatus {
	x.t.Helper()
	x.await(user, "tailing")
	if code, _, stderr := ferry(x.t, "cutover", user, "--admin", "unix:"+x.dir+"/admin.sock"); code != done {
		x.t.Fatal(stderr)
	}
	return x.await(user, "migrated")
}

func (x *crossing) download(c *testbed.Client) *testbed.Replica {
	x.t.Helper()
	r, err := testbed.Download(c)
	if err != nil {
		x.t.Fatal(err)
	}
	return r
}

// TestResyncOverGap: clients that were offline since before the switch resynchronise by QRESYNC through the proxy to
// the truth (I2). What has vanished in a gap of 200,000 UIDs, which the adapter skipped, an mdbox target does not know;
// a session that was there all the time knows the source's mod-sequences as well. Twins are INBOXes that were made in the same second.
func TestResyncOverGap(t *testing.T) {
	for _, c := range []struct {
		source, target string
		twins          bool
	}{{"maildir", "mdbox", false}, {"mdbox", "maildir", false}, {"mdbox", "maildir", true}} {
		t.Run(fmt.Sprintf("%s to %s twins %t", c.source, c.target, c.twins), func(t *testing.T) {
			x := newCrossing(t, crossingOptions{
				source: testbed.DovecotOptions{Format: c.source}, target: testbed.DovecotOptions{Format: c.target, Doveadm: true},
				more: "[migrate]\ncutover = \"manual\"\n",
			})
			if c.twins {
				x.twins("alice")
			}
			x.deliver(0, 20)
			x.deliver(100, 3)
			x.deliver(200_200, 4)
			direct := func() *testbed.Client {
				c, err := testbed.Login(x.ctx, x.source.IMAP(), "alice", "pass")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Close)
				return c
			}
			var offline []*testbed.Replica
			for range len(testbed.Ways) + 1 {
				offline = append(offline, x.download(direct()))
			}
			c := direct()
			for _, command := range []string{"SELECT INBOX", `UID STORE 15,18:102 +FLAGS.SILENT (\Deleted)`, "EXPUNGE", `UID STORE 3 +FLAGS (\Flagged)`, "LOGOUT"} {
				if _, err := c.Do(command); err != nil {
					t.Fatalf("%s: %v", command, err)
				}
			}
			x.serve()
			stays := x.session("alice")
			x.cutover("alice")
			truth := x.download(x.session("alice"))
			if len(truth.Flags) != 20 || truth.Flags[3] != `\Flagged` {
				t.Fatalf("the target holds %v", truth.Flags)
			}
			for i, way := range append([]string{testbed.Ways[0]}, testbed.Ways...) {
				c := x.session("alice")
				if i == 0 {
					c, way = stays, way+" in a session that has moved"
				}
				if err := offline[i].Resynchronize(c, testbed.Ways[max(i-1, 0)]); err != nil {
					t.Fatal(err)
				}
				for _, line := range offline[i].Diff(truth) {
					t.Errorf("%s: %s", way, line)
				}
			}
		})
	}
}

// TestTranslatedHasNoModSeq: who ends at a target that has nothing but IMAP is promised no CONDSTORE, gets no mod-sequence whatever it
// asks for, neither on the source nor on the target, and is told the source's UIDVALIDITY everywhere, in a session that
// goes through the switch as in a new one (I2).
func TestTranslatedHasNoModSeq(t *testing.T) {
	x := newCrossing(t, crossingOptions{
		source: testbed.DovecotOptions{Format: "maildir"}, target: testbed.DovecotOptions{Format: "mdbox"},
		more: "[migrate]\ncutover = \"manual\"\n",
	})
	x.deliver(0, 3)
	x.deliver(7, 1)
	for given := time.Now().Unix(); time.Now().Unix() == given; { // Dovecot makes UIDVALIDITY of the second
		time.Sleep(10 * time.Millisecond)
	}
	x.serve()
	stays := x.session("alice")
	before := x.uidValidities(stays)
	x.noModSeq(stays)
	if s := x.cutover("alice"); s.Fidelity != "translated" {
		t.Fatalf("fidelity %s", s.Fidelity)
	}
	direct, err := testbed.Login(x.ctx, x.target.IMAP(), "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(direct.Close)
	if got := x.uidValidities(direct); got[0] == before[0] {
		t.Fatal("both servers have the same UIDVALIDITY, and nothing is shown")
	}
	for name, c := range map[string]*testbed.Client{"moved": stays, "new": x.session("alice")} {
		if got := x.uidValidities(c); !slices.Equal(got, before) {
			t.Errorf("%s session is told %q; before the switch %q", name, got, before)
		}
		x.noModSeq(c)
	}
}

// uidValidities returns what a session is told of INBOX in every way, and makes the mailbox selected.
func (x *crossing) uidValidities(c *testbed.Client) (told []string) {
	x.t.Helper()
	for _, command := range []string{"SELECT INBOX", "STATUS INBOX (UIDVALIDITY)", `LIST "" INBOX RETURN (STATUS (UIDVALIDITY))`, "UID COPY 7 INBOX"} {
		replies, err := c.Do(command)
		if err != nil {
			x.t.Fatalf("%s: %v", command, err)
		}
		for _, r := range replies {
			switch name, value, _ := strings.Cut(r.Code, " "); {
			case name == "UIDVALIDITY" || name == "COPYUID":
				value, _, _ = strings.Cut(value, " ")
				told = append(told, command+": "+value)
			case len(r.Values) > 2 && r.Values[0].Text == "STATUS":
				told = append(told, command+": "+r.Values[2].List[1].Text)
			}
		}
	}
	_, uidValidity, _ := strings.Cut(told[0], ": ")
	url := "/INBOX;UIDVALIDITY=" + uidValidity + "/;UID="
	if _, err := c.Do(`APPEND INBOX CATENATE (URL "` + url + `1")`); err != nil { // the server compares the number
		x.t.Errorf("the URL %s1: %v", url, err)
	}
	_, err := c.Do(`APPEND INBOX CATENATE (URL "` + url + `999")`)
	var refused *testbed.RefusedError
	if !errors.As(err, &refused) {
		x.t.Errorf("the URL %s999: %v", url, err)
		return told
	}
	return append(told, refused.Code)
}

// noModSeq demands that the session, which has a mailbox selected, is told no mod-sequence.
func (x *crossing) noModSeq(c *testbed.Client) {
	x.t.Helper()
	if c.Has("CONDSTORE") || c.Has("QRESYNC") {
		x.t.Error("mod-sequences are promised")
	}
	for command, taken := range map[string]bool{
		"ENABLE CONDSTORE QRESYNC": true, "SELECT INBOX": true, "UID FETCH 1:* (FLAGS)": true, `UID STORE 1 -FLAGS (\Draft)`: true,
		"SELECT INBOX (CONDSTORE)": false, "UID FETCH 1:* (MODSEQ)": false, "UID SEARCH MODSEQ 1": false, "STATUS INBOX (HIGHESTMODSEQ)": false,
		`UID STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\Draft)`: false, "SELECT INBOX (QRESYNC (1 1))": false, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)": false,
	} {
		replies, err := c.Do(command)
		var refused *testbed.RefusedError
		if errors.As(err, &refused) && refused.Status == "BAD" && !taken {
			continue
		}
		if err != nil || !taken {
			x.t.Errorf("%s: %v", command, err)
		}
		if said := strings.ToUpper(fmt.Sprintf("%+v", replies)); strings.Contains(strings.ReplaceAll(said, "NOMODSEQ", ""), "MODSEQ") {
			x.t.Errorf("%s: %s", command, said)
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/migrate"
	"imapferry/state"
	"imapferry/state/admin"
	"imapferry/state/boltstate"
)

// The command between two real servers: nothing differs after the switch, what the user does is noted, and what the
// source takes later is missing.
func TestVerifyCommand(t *testing.T) {
	x := newCrossing(t, crossingOptions{
		source: testbed.DovecotOptions{Format: "maildir"}, target: testbed.DovecotOptions{Format: "mdbox", Doveadm: true},
		login: "login = \"master\"\nmaster_user = \"master\"\nmaster_password = \"masterpass\"\n",
	})
	if _, err := testbed.Seed(x.ctx, x.source.IMAP(), "alice", "pass", testbed.SeedSpec{Seed: 6, NoLarge: true}); err != nil {
		t.Fatal(err)
	}
	x.serve()
	x.login("alice")
	x.await("alice", "migrated")
	x.passed("alice", "")
	admin := "unix:" + x.dir + "/admin.sock"

	code, out, stderr := ferry(t, "verify", "alice", "--bodies", "all", "--admin", admin)
	if code != done || !strings.Contains(out, "alice, migrated: ") || !strings.Contains(out, ": 0 differences, 0 notes\n") || !strings.Contains(out, " in the target, 0 missing, 0 were there") {
		t.Errorf("equal: exit %d\n%s%s", code, out, stderr)
	}
	c, err := testbed.Login(x.ctx, x.addr, "alice", "pass", x.ca())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do("CREATE Mine"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if code, out, stderr = ferry(t, "verify", "Alice", "--admin", admin); code != done || !strings.Contains(out, `note: "Mine": folder: made in the target since the switch`) {
		t.Errorf("noted: exit %d\n%s%s", code, out, stderr)
	}
	if _, err := testbed.Append(x.ctx, x.source.IMAP(), "alice", "pass", "INBOX", testbed.Mail{Body: "Subject: late\r\n\r\ntext\r\n"}); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr = ferry(t, "verify", "alice", "--admin", admin); code != failed || stderr != "" || !strings.Contains(out, "arrived in the source after the switch; not brought over\n") {
		t.Errorf("missing: exit %d\n%s%s", code, out, stderr)
	}
	code, out, stderr = ferry(t, "verify", "alice", "--json", "--admin", admin)
	var got struct {
		User, Phase, Error string
		Complete           bool
		Messages, Missing  int
		Differences, Notes []migrate.Difference
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s%s", err, out, stderr)
	}
	if code != failed || !got.Complete || got.User != "alice" || got.Phase != "migrated" || got.Messages == 0 || got.Missing != 1 || len(got.Notes) != 1 ||
		len(got.Differences) != 1 || got.Differences[0].Kind != migrate.KindMissing || got.Differences[0].Folder != "INBOX" {
		t.Errorf("as JSON: exit %d, %+v", code, got)
	}
	if code, _, stderr = ferry(t, "verify", "alice", "--from", "Nowhere", "--admin", admin); code != failed || !strings.Contains(stderr, `no such folder in the source: "Nowhere"`) {
		t.Errorf("from nowhere: exit %d, %s", code, stderr)
	}
	if code, out, stderr = ferry(t, "verify", "alice", "--from", "Trash", "--admin", admin); code != done {
		t.Errorf("from Trash: exit %d\n%s%s", code, out, stderr)
	}
	x.stop()
}

// A comparison that is cut off says where to go on, and what was found is not lost.
func TestVerifyCutOff(t *testing.T) {
	difference := migrate.Difference{Kind: migrate.KindMissing, Folder: "INBOX", UIDs: "4:5", Messages: 2, Text: "not in the target"}
	breaks := func(_ context.Context, user string, ask admin.VerifyRequest, report func(any)) error {
		report(verifyLine{At: &verifyAt{"INBOX", 1, 2}})
		report(verifyLine{Difference: &difference})
		report(verifyLine{At: &verifyAt{"Old mail", 2, 2}})
		report(verifyLine{Summary: &migrate.Summary{User: user, Phase: state.Held, Folders: 1, Messages: 9, Present: 7, Missing: 2, Differences: 1}})
		return errors.New("target: connection: unexpected EOF")
	}
	store, err := boltstate.Open(filepath.Join(testbed.InMemory(t), "state.db"), boltstate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	server := httptest.NewServer(admin.NewServer(admin.Options{Store: store, Verify: breaks}))
	defer server.Close()
	code, out, stderr := ferry(t, "verify", "alice", "--admin", server.URL)
	if want := "\"INBOX\": missing: uid 4:5: not in the target\nalice, held: 1 folders compared (0 bodies): 1 differences, 0 notes\n9 messages in the source: 7 in the target, 2 missing\n"; code != failed || out != want {
		t.Errorf("exit %d\n%s\nwant\n%s", code, out, want)
	}
	if want := "imapferry verify: target: connection: unexpected EOF; not all folders were compared: go on with --from \"Old mail\"\n"; stderr != want {
		t.Errorf("stderr %q; want %q", stderr, want)
	}
	_, out, _ = ferry(t, "verify", "alice", "--json", "--admin", server.URL)
	for _, want := range []string{`"complete": false`, `"notes": []`, `"uids": "4:5"`, `"error": "target: connection`, `"missing": 2`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"verify", "alice", "--admin", server.URL}, new(strings.Builder), new(strings.Builder)); code != failed {
		t.Errorf("interrupted: exit %d", code)
	}
}

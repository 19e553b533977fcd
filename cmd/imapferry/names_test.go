package main

import (
	"strings"
	"testing"

	"imapferry/internal/testbed"
)

// TestFolderNames: the servers name folders in other ways. check says so and how to make names equal; a user is moved only if the
// operator allows it, and then finds folders under the target's names with the UIDVALIDITY of the source (I2).
func TestFolderNames(t *testing.T) {
	x := newCrossing(t, crossingOptions{
		source: testbed.DovecotOptions{Separator: ".", Prefix: "INBOX.", ExtraConfig: publicNamespace},
		target: testbed.DovecotOptions{Format: "mdbox"},
		login:  "login = \"master\"\nmaster_user = \"master\"\nmaster_password = \"masterpass\"\n",
		more:   "[migrate]\nallow = [\"names\"]\n",
	})
	_, found := checked(t, done, "--config", x.config, "--user", "alice")
	expect(t, found, "source folders", `warn those of others and public ones are left out: names that begin with "Public." set migrate.shared`)
	expect(t, found, "folder names", `warn source: prefix "INBOX.", separator "."; target: prefix "", separator "/"`)
	expect(t, found, "folder names", `warn Dovecot: prefix = INBOX. and separator = . in the namespace`)
	expect(t, found, "folder names", `warn Cyrus: altnamespace: no, unixhierarchysep: no`)

	c, err := testbed.Login(x.ctx, x.source.IMAP(), "alice", "pass")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do("CREATE INBOX.Work.Old"); err != nil {
		t.Fatal(err)
	}
	if _, err := testbed.Append(x.ctx, x.source.IMAP(), "alice", "pass", "INBOX.Work.Old", testbed.Mail{Body: "Subject: old\r\n\r\nmail\r\n"}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.source.Doveadm(x.ctx, "mailbox", "update", "-u", "alice", "--uid-validity", "7", "INBOX.Work.Old"); err != nil {
		t.Fatal(err) // else it is the second in which the folder was made, as at the target
	}
	before := x.snapshot(x.source.IMAP(), "alice").Folders["INBOX.Work.Old"]
	x.serve()
	x.login("alice")
	if s := x.await("alice", "migrated"); s.Fidelity != "translated" {
		t.Errorf("fidelity %s", s.Fidelity)
	}
	after := x.snapshot(x.addr, "alice", x.ca()).Folders["Work/Old"]
	if after == nil || after.UIDValidity != before.UIDValidity || len(after.Messages) != 1 {
		t.Errorf("through imapferry: %+v; want UIDVALIDITY %d", after, before.UIDValidity)
	}
	if there := x.snapshot(x.target.IMAP(), "alice").Folders["Work/Old"]; there.UIDValidity == before.UIDValidity {
		t.Error("the target has the source's UIDVALIDITY by itself, so the test proves nothing")
	}
	code, out, stderr := ferry(t, "verify", "alice", "--admin", "unix:"+x.dir+"/admin.sock")
	if code != done || !strings.Contains(out, "0 differences") {
		t.Errorf("verify: exit %d\n%s%s", code, out, stderr)
	}
	x.stop()
}

const publicNamespace = `
namespace public {
  type = public
  separator = .
  prefix = Public.
  location = maildir:~/public
}
`

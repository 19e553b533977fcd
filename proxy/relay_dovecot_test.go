package proxy

import (
	"context"
	"net"
	"regexp"
	"testing"
	"time"

	"imapferry/internal/backend"
	"imapferry/internal/testbed"
	"imapferry/internal/wire"
)

// TestRelayDovecot plays one session to a real Dovecot as two equal users, directly and over the relay: the client
// must hear the same.
func TestRelayDovecot(t *testing.T) {
	testbed.Need(t, "dovecot", "doveadm")
	d, err := testbed.ForTest(t).Dovecot(testbed.DovecotOptions{Users: map[string]string{"alice": "pass", "bob": "pass"}})
	if err != nil {
		t.Fatal(err)
	}
	sc := script{
		{send: "a CREATE box\r\nb APPEND box (\\Seen) \"01-Jan-2020 00:00:00 +0000\" {15+}\r\nSubject: x\r\n\r\ny\r\n"},
		{send: "c APPEND box {15}\r\n"}, {"+", "Subject: z\r\n\r\nw\r\n"},
		{send: "d SELECT box\r\ne FETCH 1:* (UID FLAGS BODY.PEEK[])\r\nf STORE 2 +FLAGS (\\Deleted kw)\r\ng UID SEARCH RETURN (ALL) DELETED\r\n"},
		{send: "h IDLE\r\n"}, {"+", "DONE\r\n"}, {await: "h"},
		{send: "i EXPUNGE\r\nj APPEND nope {3}\r\n"}, {await: "j"},
		{send: "k LIST \"\" * RETURN (STATUS (MESSAGES UIDNEXT))\r\nl STATUS {3+}\r\nbox (MESSAGES)\r\nm BOGUS\r\nn LOGOUT\r\n"},
	}
	direct := dovecotConn(t, d, "alice")
	want := sc.play(t, &bufferedConn{direct.Conn, direct}, nil)

	back := dovecotConn(t, d, "bob")
	client, near := tcpPair(t)
	r := newRelay(end{near, wire.NewReader(near, 0)}, end{back.Conn, back.R}, relayConfig{LiteralPlus: true})
	bed := &relayBed{client: client, r: r, ended: make(chan relayStats, 1)}
	go bed.run()
	got := sc.play(t, client, nil)
	client.Close()
	if stats := <-bed.ended; stats.Reason != endedByLogout {
		t.Errorf("stats = %+v", stats)
	}
	// UIDVALIDITY, timings and the wording of the clock differ from user to user.
	vary := regexp.MustCompile(`UIDVALIDITY \d+|(APPENDUID) \d+|\(\d+\.\d+ \+ [^)]*\)`)
	if got, want := vary.ReplaceAllString(got, "$1"), vary.ReplaceAllString(want, "$1"); got != want {
		t.Errorf("over the relay:\n%s\ndirectly:\n%s", got, want)
	}
}

// bufferedConn reads what the login has read ahead first.
type bufferedConn struct {
	net.Conn
	c *backend.Conn
}

func (b *bufferedConn) Read(p []byte) (int, error) { return b.c.R.Read(p) }

func dovecotConn(t *testing.T, d *testbed.Dovecot, user string) *backend.Conn {
	t.Helper()
	cfg := backend.Defaults()
	cfg.URL = "imap://" + d.IMAP()
	b, err := backend.New("source", cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := b.Dial(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.LoginOwn(ctx, user, "pass"); err != nil {
		t.Fatal(err)
	}
	return c
}

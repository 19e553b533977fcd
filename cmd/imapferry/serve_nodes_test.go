package main

import (
	"path/filepath"
	"testing"

	"imapferry/internal/testbed"
)

// Two nodes on one Redis: a switch waits for both, and neither serves the source afterwards (I3).
func TestServeNodes(t *testing.T) {
	config, dir, _, _ := twoServers(t)
	redis, err := testbed.ForTest(t).Redis(testbed.RedisOptions{AppendOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*process
	var addrs []string
	for _, name := range []string{"one", "two"} {
		p := program(t, []string{
			"IMAPFERRY_STATE_URL=" + redis.URL(), "IMAPFERRY_STATE_NODE=" + name,
			"IMAPFERRY_LISTEN_ADMIN=unix:" + filepath.Join(dir, name+".sock"),
		}, "serve", "--config", config)
		p.await(`msg="node joined" node=` + name)
		addrs = append(addrs, p.await(`msg=listening imaps=\[(\S+)\]`)[1])
		nodes = append(nodes, p)
	}
	c := dial(t, addrs[1])
	c.do("LOGIN carol pass")
	c.do("SELECT INBOX")
	dial(t, addrs[0]).do("LOGIN carol pass")
	c.hear("* BYE [UNAVAILABLE]")
	for i, addr := range addrs {
		dial(t, addr).do("LOGIN carol pass")
		nodes[i].await(`msg="logged in".* user=carol backend=target`)
	}
}

package testbed

import (
	"context"
	"testing"
)

func TestMailClients(t *testing.T) {
	Need(t, "dovecot", "doveadm", "mbsync", "offlineimap")
	d, err := ForTest(t).Dovecot(DovecotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seed(t.Context(), d.IMAP(), "alice", "pass", SeedSpec{Plain: true, NoLarge: true}); err != nil {
		t.Fatal(err)
	}
	clients := map[string]func(context.Context, string, string, string, string, ...DialOption) (SyncResult, error){
		"mbsync": Mbsync, "offlineimap": OfflineIMAP,
	}
	for name, sync := range clients {
		for _, secure := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				addr, opts := d.IMAP(), []DialOption(nil)
				if secure {
					addr, opts = d.IMAPS(), []DialOption{WithCA(d.CertFile)}
				}
				dir := t.TempDir()
				r, err := sync(t.Context(), addr, "alice", "pass", dir, opts...)
				t.Log(r.ExitCode, r.Fetched, len(r.After), err)
				t.Log(r.Output)
				r, err = sync(t.Context(), addr, "alice", "pass", dir, opts...)
				t.Log(r.ExitCode, r.Fetched, len(r.After), err)
				t.Log(r.Output)
			})
		}
	}
}

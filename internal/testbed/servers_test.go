package testbed

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func TestDovecotLife(t *testing.T) {
	Need(t, "dovecot", "doveadm")
	for _, format := range []string{"maildir", "mdbox", "sdbox"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			bed := ForTest(t)
			began := time.Now()
			d, err := bed.Dovecot(DovecotOptions{Format: format, Doveadm: true, HAProxy: true, Plugins: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("started in %s", time.Since(began))
			if out, err := d.Doveadm(t.Context(), "who"); err != nil {
				t.Errorf("doveadm who: %v %s", err, out)
			}
			began = time.Now()
			if err := d.Kill(); err != nil {
				t.Fatal(err)
			}
			if conn, err := net.Dial("tcp", d.IMAP()); err == nil {
				conn.Close()
				t.Error("a killed server still takes connections")
			}
			if err := d.Kill(); !errors.Is(err, errNotRunning) {
				t.Errorf("second Kill: %v", err)
			}
			if err := d.Start(); err != nil {
				t.Fatal(err)
			}
			t.Logf("killed and started in %s", time.Since(began))
			began = time.Now()
			if err := d.Stop(); err != nil {
				t.Fatal(err)
			}
			t.Logf("stopped in %s", time.Since(began))
		})
	}
}

func TestRedisKeepsItsFile(t *testing.T) {
	Need(t, "redis-server")
	bed := ForTest(t)
	r, err := bed.Redis(RedisOptions{AppendOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	redisSays(t, r, "SET user alice", "+OK")
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	redisSays(t, r, "GET user", "$5")
}

func TestRedisPassword(t *testing.T) {
	Need(t, "redis-server")
	r, err := ForTest(t).Redis(RedisOptions{Password: "s:e/cret", ACL: []string{"ferry on >ferrypass ~ferry:* +@all"}})
	if err != nil {
		t.Fatal(err)
	}
	redisSays(t, r, "GET user", "-NOAUTH")
	redisSays(t, r, "AUTH s:e/cret", "+OK")
	redisSays(t, r, "AUTH ferry ferrypass", "+OK")
	if want := "redis://:s%3Ae%2Fcret@" + r.Addr() + "/0"; r.URL() != want {
		t.Errorf("URL() = %s; want %s", r.URL(), want)
	}
}

func dovecot(t *testing.T, opt DovecotOptions) *Dovecot {
	t.Helper()
	d, err := ForTest(t).Dovecot(opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func redisSays(t *testing.T, r *Redis, command, want string) {
	t.Helper()
	var got string
	err := converse(context.Background(), r.Addr(), command+"\r\n", func(line string) bool { got = line; return true })
	if err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("%s: %q, %v; want %s", command, got, err, want)
	}
}

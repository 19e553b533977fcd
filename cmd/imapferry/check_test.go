package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imapferry/internal/testbed"
	"imapferry/state"
)

// checked runs check and returns its findings by check and result.
func checked(t *testing.T, wantCode int, args ...string) (checker, map[string][]string) {
	t.Helper()
	code, out, stderr := ferry(t, append([]string{"check", "--json"}, args...)...)
	var k checker
	if err := json.Unmarshal([]byte(out), &k); err != nil {
		t.Fatalf("exit %d, %v in %q; stderr %q", code, err, out, stderr)
	}
	if code != wantCode {
		t.Errorf("exit %d; want %d:\n%s", code, wantCode, out)
	}
	found := map[string][]string{}
	for _, f := range k.Checks {
		found[f.Check] = append(found[f.Check], f.Result+" "+f.Detail+" "+f.Advice)
	}
	return k, found
}

func expect(t *testing.T, found map[string][]string, check, want string) {
	t.Helper()
	for _, f := range found[check] {
		if strings.HasPrefix(f, strings.SplitN(want, " ", 2)[0]) && strings.Contains(f, strings.SplitN(want, " ", 2)[1]) {
			return
		}
	}
	t.Errorf("%s: found %q; want %q", check, found[check], want)
}

func TestCheck(t *testing.T) {
	config, dir, source, target := twoServers(t)

	k, found := checked(t, done, "--config", config)
	if k.Fidelity != state.Exact || !k.OK {
		t.Errorf("fidelity %q, ok %v; want exact, true", k.Fidelity, k.OK)
	}
	expect(t, found, "tls", "ok certificate for localhost, 127.0.0.1 until ")
	expect(t, found, "listen", "ok 127.0.0.1:0 is free")
	expect(t, found, "state", "ok "+dir+"/state.db is yet to be made")
	expect(t, found, "source", "ok "+source.IMAPS()+" answers")
	expect(t, found, "source tls", "ok certificate for localhost, 127.0.0.1 until ")
	expect(t, found, "target tls", "ok certificate for localhost")
	expect(t, found, "target login", "ok passthrough")
	expect(t, found, "adapter", "ok dovecot: UIDs and UIDVALIDITY are kept in the target itself")
	if _, err := os.Stat(filepath.Join(dir, "state.db")); err == nil {
		t.Error("check has made the state file")
	}

	t.Setenv("IMAPFERRY_SOURCE_LOGIN", "master")
	t.Setenv("IMAPFERRY_MIGRATE_ON_LOGIN", "false")
	t.Setenv("IMAPFERRY_SOURCE_MASTER_USER", source.Options.MasterUser)
	t.Setenv("IMAPFERRY_SOURCE_MASTER_PASSWORD", source.Options.MasterPassword)
	_, found = checked(t, done, "--config", config)
	expect(t, found, "source login", "warn master: not tried give --user NAME")
	expect(t, found, "migrate", "warn nobody is moved: on_login is off")
	t.Setenv("IMAPFERRY_TARGET_LOGIN", "master-suffix")
	t.Setenv("IMAPFERRY_TARGET_MASTER_USER", target.Options.MasterUser)
	t.Setenv("IMAPFERRY_TARGET_MASTER_PASSWORD", target.Options.MasterPassword)
	_, found = checked(t, done, "--config", config, "--user", "alice")
	expect(t, found, "source login", "ok master as alice")
	expect(t, found, "target login", "ok master-suffix as alice")
	if len(found["migrate"]) > 0 {
		t.Errorf("warned though no password of a user is needed: %q", found["migrate"])
	}
	expect(t, found, "capabilities", "ok both sides: IDLE CONDSTORE QRESYNC")

	t.Setenv("IMAPFERRY_TARGET_MASTER_PASSWORD", "wr0ng")
	t.Setenv("IMAPFERRY_TARGET_DOVEADM_API_KEY", "wr0ng")
	t.Setenv("IMAPFERRY_SOURCE_TLS_CA", "")
	t.Setenv("IMAPFERRY_SOURCE_URL", "imaps://"+source.IMAP())
	k, found = checked(t, failed, "--config", config, "--user", "alice")
	expect(t, found, "source", "fail the port speaks no TLS; use imap+starttls://")
	expect(t, found, "target login", "fail master-suffix as alice: target refused")
	expect(t, found, "adapter", "fail see target.doveadm_url and target.doveadm_api_key")
	if all, _ := json.Marshal(k); strings.Contains(string(all), "wr0ng") || k.Fidelity != "" {
		t.Errorf("the report shows a password (I8) or a fidelity that does not result:\n%s", all)
	}
}

func TestCheckAsText(t *testing.T) {
	config, _, source, target := twoServers(t)
	t.Setenv("IMAPFERRY_TARGET_ADAPTER", "imap")
	t.Setenv("IMAPFERRY_TARGET_TLS_CA", config) // no PEM: the configuration is wrong
	code, _, stderr := ferry(t, "check", "--config", config)
	if code != misuse || !strings.Contains(stderr, "environment IMAPFERRY_TARGET_TLS_CA: target.tls_ca: ") {
		t.Errorf("exit %d, stderr %q; want %d and the key", code, stderr, misuse)
	}
	t.Setenv("IMAPFERRY_TARGET_TLS_CA", "")
	t.Setenv("IMAPFERRY_TARGET_URL", "imap://"+target.IMAP())
	code, out, stderr := ferry(t, "check", "--config", config)
	for _, want := range []string{"ok  config ", "ok  target tls    none, on loopback\n", "ok  adapter       imap: UIDs are kept; UIDVALIDITY is kept for clients", "\nfidelity: translated\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s%s", want, out, stderr)
		}
	}
	if code != done {
		t.Errorf("exit %d; want %d", code, done)
	}
	if err := source.Kill(); err != nil {
		t.Fatal(err)
	}
	code, out, _ = ferry(t, "check", "--config", config)
	if code != failed || !strings.Contains(out, "fail  source") || !strings.Contains(out, "fidelity: cannot be told yet") {
		t.Errorf("exit %d without a source:\n%s", code, out)
	}
	if err := errors.Join(source.Start(), target.Kill()); err != nil {
		t.Fatal(err)
	}
	code, out, _ = ferry(t, "check", "--config", config)
	if code != failed || !strings.Contains(out, "fail  target") || !strings.Contains(out, "-> see that the server runs") || !strings.Contains(out, "fidelity: cannot be told yet") {
		t.Errorf("exit %d without a target:\n%s", code, out)
	}
}

func TestCheckRedis(t *testing.T) {
	redis, err := testbed.ForTest(t).Redis(testbed.RedisOptions{Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	_, dir, _ := configure(t, least)
	config := filepath.Join(dir, "ferry.toml")
	t.Setenv("IMAPFERRY_SOURCE_URL", "imap://127.0.0.1:1") // nothing listens there
	t.Setenv("IMAPFERRY_TARGET_URL", "imap://127.0.0.1:2")
	t.Setenv("IMAPFERRY_STATE_URL", redis.URL())
	_, found := checked(t, failed, "--config", config)
	expect(t, found, "state", "ok Redis answers; its store is yet to be made")
	expect(t, found, "state", "warn redis keeps no append-only file")
	for range 2 {
		if keys, err := redis.Do("KEYS", "*"); err != nil || len(keys.([]any)) > 0 {
			t.Errorf("check has made %q in a new Redis (%v)", keys, err)
		}
		_, found = checked(t, failed, "--user", "alice", "--config", config)
		expect(t, found, "state", "ok Redis answers; its store is yet to be made")
	}
	t.Setenv("IMAPFERRY_STATE_URL", strings.Replace(redis.URL(), "s3cret", "wr0ng", 1))
	k, found := checked(t, failed, "--config", config)
	expect(t, found, "state", "fail see that Redis runs")
	if all, _ := json.Marshal(k); strings.Contains(string(all), "wr0ng") {
		t.Errorf("the report shows a password (I8):\n%s", all)
	}
}

// check's report goes into tickets and mails: what stands in a URL beside its place is not for them (I8).
func TestCheckShowsNoSecretOfAliases(t *testing.T) {
	for place, want := range map[string]string{
		"":                       "",
		"/etc/imapferry/aliases": "/etc/imapferry/aliases",
		"https://a:secret@h:8/x?token=secret#secret": "https://h:8/x",
	} {
		if got := withoutSecret(place); got != want {
			t.Errorf("withoutSecret(%s) = %s; want %s", place, got, want)
		}
	}
}

package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// ferry runs the program and returns what it printed.
func ferry(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		args           string
		code           int
		stdout, stderr string // what they contain
	}{
		{"", misuse, "", "usage: imapferry COMMAND"},
		{"help", done, "serve       accept clients", ""},
		{"--help", done, "Exit codes: 0 done", ""},
		{"help users", done, "usage: imapferry users", ""},
		{"help nothing", misuse, "", `imapferry help: unknown command "nothing"`},
		{"users -h", done, "usage: imapferry users", ""},
		{"version", done, "imapferry ", ""},
		{"version now", misuse, "", `imapferry version: unexpected argument "now"`},
		{"serv", misuse, "", `imapferry: unknown command "serv"`},
		{"users --colour", misuse, "", "imapferry users: flag provided but not defined: -colour; `imapferry help users` shows the flags"},
		{"users --phase gone", misuse, "", `imapferry users: --phase: unknown phase "gone"; want one of [pending`},
		{"status alice bob", misuse, "", "imapferry status: "},
		{"migrate", misuse, "", "imapferry migrate: name at least one user"},
		{"retry --json", misuse, "", "imapferry retry: name at least one user"},
		{"finalize", misuse, "", "imapferry finalize: name at least one user"},
		{"verify", misuse, "", "imapferry verify: name one user"},
		{"verify alice bob", misuse, "", "imapferry verify: name one user"},
		{"verify alice --bodies some", misuse, "", "imapferry verify: --bodies \"some\": use all, sample or none"},
		{"state", misuse, "", "imapferry state: say export or import"},
		{"state move", misuse, "", `imapferry state: "move": say export or import`},
		{"state export a b", misuse, "", "imapferry state: say export or import, and at most one file"},
		{"state export", misuse, "", "imapferry state: --config FILE is missing"},
		{"serve", misuse, "", "imapferry serve: --config FILE is missing"},
		{"check", misuse, "", "imapferry check: --config FILE is missing"},
		{"serve --config testdata/none.toml", misuse, "", "imapferry serve: read configuration: open testdata/none.toml"},
		{"check --config testdata/bad.toml", misuse, "", "imapferry check: testdata/bad.toml:3: auth.prof: unknown key; did you mean auth.prove?\nimapferry check: testdata/bad.toml:1: tls.acme.email: "},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			code, stdout, stderr := ferry(t, strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit %d, stdout %q, stderr %q; want exit %d, %q, %q", code, stdout, stderr, test.code, test.stdout, test.stderr)
			}
			if (code == done) != (stderr == "") {
				t.Errorf("exit %d with stderr %q", code, stderr)
			}
		})
	}
}

func TestUsages(t *testing.T) {
	for _, cmd := range commands() {
		if !strings.HasPrefix(cmd.usage, "usage: imapferry "+cmd.name) || !strings.HasSuffix(cmd.usage, "\n") {
			t.Errorf("usage of %s is %q", cmd.name, cmd.usage)
		}
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := notify("READY=1"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if got := string(buf[:n]); err != nil || got != "READY=1" {
		t.Errorf("service manager heard %q, %v; want READY=1", got, err)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notify("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}

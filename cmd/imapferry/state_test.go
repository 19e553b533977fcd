package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"imapferry/state"
	"imapferry/state/transfer"
)

// word runs the program as a command, in a process of its own, and returns what it says.
func word(t *testing.T, env []string, stdin []byte, args ...string) (code int, stdout []byte, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.Bytes(), errs.String()
}

// says runs the program and fails the test unless it exits with code and says words.
func says(t *testing.T, code int, words string, env []string, stdin []byte, args ...string) (stdout []byte) {
	t.Helper()
	got, stdout, stderr := word(t, env, stdin, args...)
	if got != code || !strings.Contains(string(stdout)+stderr, words) {
		t.Fatalf("%q: exit %d, %.500s\n%s\nwant exit %d, %s", args, got, stdout, stderr, code, words)
	}
	return stdout
}

// stop ends the process in good order.
func (p *process) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if code := p.exit(); code != done {
		p.t.Fatalf("exit %d:\n%s", code, p.text())
	}
}

// TestState moves a service from the embedded store to Redis and back: a user who was switched stays so (I3, I7), and the node's journal belongs to
// each of the stores.
func TestState(t *testing.T) {
	redis := redisFor(t)
	config, dir, _, _ := twoServers(t)
	file, back := filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "back", "state.db")
	journal := "IMAPFERRY_STATE_JOURNAL=" + filepath.Join(dir, "node.journal")
	onFile := []string{journal}
	onRedis := []string{journal, "IMAPFERRY_STATE_URL=" + redis.URL(), "IMAPFERRY_STATE_NODE=one", "IMAPFERRY_STATE_NODE_TTL=3s"}
	onBack := []string{journal, "IMAPFERRY_STATE_URL=bolt:" + back}

	p := program(t, onFile, "serve", "--config", config)
	dial(t, p.joined(nodeName(""))).do("LOGIN carol pass")
	p.await(`msg="sessions after a switch" user=carol moved=1 ended=map\[\]`)
	says(t, failed, "in use by another imapferry process", onFile, nil, "state", "export", "--config", config, file)
	p.stop()
	says(t, failed, "there is no store", onRedis, nil, "state", "export", "--config", config, file)
	says(t, done, "exported: 1 users, ", onFile, nil, "state", "export", "--config", config, file)
	says(t, failed, "file exists", onFile, nil, "state", "export", "--config", config, file)
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	says(t, failed, "the last line is missing", onRedis, lines[:len(lines)-50], "state", "import", "--config", config)
	says(t, failed, "an import into the store was begun", onRedis, nil, "serve", "--config", config)
	says(t, done, "imported: 1 users, ", onRedis, lines, "state", "import", "--config", config)
	says(t, failed, "the store is not empty", onRedis, nil, "state", "import", "--config", config, file)

	p = program(t, onRedis, "serve", "--config", config)
	dial(t, p.joined("one")).do("LOGIN carol pass")
	p.await(`msg="logged in".* user=carol backend=target`)
	says(t, failed, "node one is alive", onRedis, nil, "state", "export", "--config", config)
	p.stop()
	lines = says(t, done, "exported: 1 users, ", onRedis, nil, "state", "export", "--config", config)
	says(t, done, "imported: 1 users, ", onBack, lines, "state", "import", "--config", config)

	p = program(t, onBack, "serve", "--config", config)
	dial(t, p.joined(nodeName(""))).do("LOGIN carol pass")
	p.await(`msg="logged in".* user=carol backend=target`)
}

// TestStateKilled kills an import in the middle, into a file and into Redis: no node starts on what it leaves (I7), and the next one makes it whole.
func TestStateKilled(t *testing.T) {
	redis := redisFor(t)
	_, dir, _ := configure(t, least)
	config := filepath.Join(dir, "ferry.toml")
	lines := manyClaims(t)
	for _, url := range []string{"bolt:" + filepath.Join(dir, "state.db"), redis.URL()} {
		env := []string{"IMAPFERRY_STATE_URL=" + url}
		p := &process{t: t, more: make(chan struct{}), cmd: exec.Command(os.Args[0], "state", "import", "--config", config)}
		p.cmd.Env, p.cmd.Stderr = append(append(os.Environ(), asProgram+"=1"), env...), p
		in, err := p.cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(lines[:len(lines)/2]); err != nil { // more than a pipe holds, so it has begun
			t.Fatal(err)
		}
		p.cmd.Process.Kill()
		p.exit()
		const half = "an import into the store was begun and has not ended"
		says(t, failed, half, env, nil, "serve", "--config", config)
		says(t, failed, half, env, nil, "state", "export", "--config", config)
		says(t, failed, half, env, nil, "check", "--config", config)
		says(t, done, "imported: 1 users, ", env, lines, "state", "import", "--config", config)
		if got := says(t, done, "exported: 1 users, ", env, nil, "state", "export", "--config", config); len(got) != len(lines) {
			t.Errorf("%s: exported %d bytes of %d", url, len(got), len(lines))
		}
	}
}

// manyClaims is an export that no pipe holds.
func manyClaims(t *testing.T) []byte {
	t.Helper()
	var lines bytes.Buffer
	w, err := transfer.NewWriter(&lines, "STORE")
	if err == nil {
		err = w.User(t.Context(), state.Kept{Record: state.Record{User: "alice", Phase: state.Held, Epoch: 1}})
	}
	for i := range 10_000 {
		if err == nil {
			err = w.Claim(t.Context(), fmt.Sprintf("token %05d", i), "alice")
		}
	}
	if err == nil {
		_, err = w.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return lines.Bytes()
}

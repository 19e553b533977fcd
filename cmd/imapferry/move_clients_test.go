package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"imapferry/internal/testbed"
)

// mover is a mail client that is moved at every command of a run.
type mover struct {
	name  string
	needs []string
	// ready comes before the run: what the client has in its cache, and what has changed since.
	ready func(t testing.TB, m *moving, user, dir string)
	// run is the run. It returns what the client saw and did, in a form that is equal for equal accounts of any user.
	run func(ctx context.Context, m *moving, addr, user, dir string) ([]string, error)
	// after says what is wrong with the client after a run, if anything can be.
	after func(ctx context.Context, m *moving, user, dir string) error
}

func movers() []mover {
	return []mover{
		syncing("mbsync", testbed.Mbsync),
		syncing("offlineimap", testbed.OfflineIMAP),
		{name: "curl", needs: []string{"curl"}, run: curling},
		{name: "imaplib", needs: []string{"python3"}, run: scripting},
		{name: "pipelining", run: pipelining},
	}
}

type syncRun func(ctx context.Context, addr, user, pass, dir string, opts ...testbed.DialOption) (testbed.SyncResult, error)

// syncing is a client that keeps a copy of all mail. Before the run there is something to do in both directions.
func syncing(name string, sync syncRun) mover {
	return mover{
		name: name, needs: []string{name},
		ready: func(t testing.TB, m *moving, user, dir string) {
			r, err := sync(m.ctx, m.addr, user, "pass", dir, m.ca())
			if err != nil || r.ExitCode != 0 || r.Fetched == 0 {
				t.Fatalf("first run: %d fetched, exit code %d, %v\n%s", r.Fetched, r.ExitCode, err, r.Output)
			}
			m.changeBoth(t, user, filepath.Join(dir, "mail"))
		},
		run: func(ctx context.Context, m *moving, addr, user, dir string) ([]string, error) {
			r, err := sync(ctx, addr, user, "pass", dir, m.ca())
			if err != nil {
				return nil, err
			}
			files, err := filesOf(filepath.Join(dir, "mail"), r.After)
			seen := []string{fmt.Sprintf("exit code %d, %d fetched, %d removed", r.ExitCode, r.Fetched, r.Removed)}
			return append(append(seen, files...), complaints(r.Output)...), err
		},
		after: func(ctx context.Context, m *moving, user, dir string) error {
			r, err := sync(ctx, m.addr, user, "pass", dir, m.ca())
			if err == nil {
				err = r.Idle()
			}
			return err
		},
	}
}

// filesOf is the mail of a Maildir, without the names that clients make up.
func filesOf(dir string, tree testbed.Tree) (lines []string, err error) {
	for path := range tree {
		body, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return nil, err
		}
		_, flags, _ := strings.Cut(filepath.Base(path), ":")
		lines = append(lines, fmt.Sprintf("%s (%s) %s", filepath.Dir(path), flags, sumOf(string(body))))
	}
	return lines, nil
}

var complaint = regexp.MustCompile(`(?i)error|warn|fail|lost|reconnect|bye|unexpected|traceback`)

// complaints are the lines of a client's output that tell of trouble.
func complaints(output string) (lines []string) {
	for line := range strings.Lines(output) {
		if complaint.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

func curling(ctx context.Context, m *moving, addr, user, dir string) ([]string, error) {
	r, err := testbed.Curl(ctx, addr, user, "pass", dir, []testbed.CurlTransfer{
		{Path: ""},
		{Path: "INBOX?ALL"},
		{Path: "INBOX;UID=1"},
		{Path: "INBOX;UID=2;SECTION=HEADER"},
		{Path: "INBOX", Request: `STORE 2 +FLAGS.SILENT (\Flagged)`},
		{Path: "INBOX", Request: `FETCH 1:3 (UID FLAGS)`},
		{Path: "Sent", Upload: letter("sent by curl")},
		{Path: "Sent", Upload: letter("also sent by curl")},
		{Path: "Archive;UID=2"},
		{Path: "Archive?SUBJECT%20Archive"},
		{Path: "INBOX", Request: `UID COPY 3 Archive`},
		{Path: "INBOX", Request: `UID STORE 3 +FLAGS.SILENT (\Deleted)`},
		{Path: "INBOX", Request: `EXPUNGE`},
		{Path: "INBOX;MAILINDEX=3"},
		{Path: "", Request: `STATUS Archive (MESSAGES UIDNEXT)`},
		{Path: "", Request: `CREATE New`},
		{Path: "", Request: `LIST "" *`},
		{Path: "Sent?ALL"},
	}, m.ca())
	return append(strings.SplitAfter(r.Output, "\n"), fmt.Sprint("exit code ", r.ExitCode), r.Errors), err
}

func scripting(ctx context.Context, m *moving, addr, user, _ string) ([]string, error) {
	heard, err := testbed.Imaplib(ctx, addr, user, "pass", m.cert)
	return strings.SplitAfter(heard, "\n"), err
}

// pipelining sends together what does not depend on each other: a server may obey in another order, and Dovecot does.
func pipelining(ctx context.Context, m *moving, addr, user, _ string) ([]string, error) {
	literal := func(text string) string { return fmt.Sprintf("{%d+}\r\n%s", len(text), text) }
	return testbed.Pipeline(ctx, addr, user, "pass", [][]string{
		{"NOOP", `LIST "" "*"`, "STATUS Archive (MESSAGES UIDNEXT)", "SELECT INBOX", "FETCH 1:3 (UID FLAGS)"},
		{
			"UID FETCH 1:8 (UID BODY.PEEK[])",
			"APPEND Archive " + literal(letter("pipelined 1")),
			"UID COPY 1:3 Archive/2019",
			`UID STORE 1,3 +FLAGS (\Answered)`,
			"UID SEARCH SUBJECT INBOX",
			"CREATE " + literal("New folder"),
			"NOOP",
			"APPEND INBOX (\\Seen) " + literal(letter("pipelined 2")),
			`LSUB "" "*"`,
			`STORE 4 +FLAGS.SILENT (\Deleted)`,
		},
		{"UID EXPUNGE 4"},
		{"NOOP"},
		{"SEARCH RETURN (ALL COUNT) UNDELETED", "FETCH 1:* (UID FLAGS)", "UID FETCH 6 (BODY[])", "FETCH 5 (UID)"},
		{
			"CLOSE", "EXAMINE Archive", "FETCH 1:* (UID FLAGS BODY[TEXT])", "UNSELECT", "SELECT Archive/2019",
			`STORE 1:* FLAGS ($Label1)`,
		},
		{"FETCH 1:* (UID FLAGS)", "UID SEARCH ALL"},
		{"UID MOVE 1 INBOX"},
		{"SELECT INBOX", "FETCH 1:* (UID FLAGS)", "APPEND Sent " + literal(letter("pipelined 3")), `RENAME "New folder" Newer`},
		{"DELETE Newer", `LIST "" "*"`, "UNSELECT"},
	}, m.ca())
}

var (
	hints = regexp.MustCompile(` ?\\(Un)?Marked`)
	about = regexp.MustCompile(`^\* (FLAGS |OK \[(PERMANENTFLAGS|HIGHESTMODSEQ|NOMODSEQ)\b)`)
)

// withoutHints leaves out what a server may say at any time or not at all, and what says nothing about mail.
func withoutHints(lines []string) (rest []string) {
	for _, line := range lines {
		if !about.MatchString(line) {
			rest = append(rest, hints.ReplaceAllString(line, ""))
		}
	}
	return rest
}

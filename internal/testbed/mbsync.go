package testbed

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Mbsync runs mbsync once: all folders between the server and a Maildir below
// dir, both ways. Run it again with the same dir to see what a client that has
// everything in its cache does.
func Mbsync(ctx context.Context, addr, user, pass, dir string, opts ...DialOption) (SyncResult, error) {
	conf, err := mbsyncConf(addr, user, pass, dir, opts)
	if err != nil {
		return SyncResult{}, fmt.Errorf("mbsync: %w", err)
	}
	r, err := syncRun{
		dir: dir, mail: filepath.Join(dir, "mail"), conf: "mbsyncrc", text: conf,
		argv: []string{"mbsync", "-c", filepath.Join(dir, "mbsyncrc"), "-V", "-a"}, count: mbsyncCounts,
	}.do(ctx)
	if err != nil {
		return r, fmt.Errorf("mbsync: %w", err)
	}
	return r, nil
}

func mbsyncConf(addr, user, pass, dir string, opts []DialOption) (string, error) {
	name, port, err := host(addr)
	if err != nil {
		return "", err
	}
	var how dialing
	for _, opt := range opts {
		opt(&how)
	}
	secure := "SSLType None\nAuthMechs LOGIN"
	if how.caFile != "" {
		secure = "SSLType IMAPS\nSystemCertificates no\nCertificateFile " + how.caFile
	}
	return fmt.Sprintf(`IMAPAccount server
Host %s
Port %s
User %q
Pass %q
Timeout 20
%s

IMAPStore far
Account server

MaildirStore near
Path %s/mail/
Inbox %[6]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Expunge Both
Sync All
SyncState *
`, name, port, user, pass, secure, dir), nil
}

// mbsync sums up: "Channels: 1  Boxes: 3  Far: +0 *0 #0  Near: +17 *0 #0".
var mbsyncSummary = regexp.MustCompile(`Far: \+(\d+) \*\d+ #\d+\s+Near: \+(\d+) \*\d+ #(\d+)`)

// mbsyncCounts takes a run without a summary for one that ended before it,
// with its reason in the exit code.
func mbsyncCounts(output string, r *SyncResult) error {
	all := mbsyncSummary.FindAllStringSubmatch(output, -1)
	if all == nil {
		if r.ExitCode == 0 {
			return fmt.Errorf("no summary in its output:\n%s", strings.TrimSpace(output))
		}
		return nil
	}
	last := all[len(all)-1]
	for i, n := range []*int{&r.Pushed, &r.Fetched, &r.Removed} {
		var err error
		if *n, err = strconv.Atoi(last[i+1]); err != nil {
			return err
		}
	}
	return nil
}

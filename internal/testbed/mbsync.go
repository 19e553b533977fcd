package testbed

import (
	"context"
	"fmt"
	"path/filepath"
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
		argv: []string{"mbsync", "-c", filepath.Join(dir, "mbsyncrc"), "-a"},
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
Timeout 120
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
Expunge Near
Sync All
SyncState *
`, name, port, user, pass, secure, dir), nil
}

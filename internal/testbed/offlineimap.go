package testbed

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// OfflineIMAP runs offlineimap once, as Mbsync does mbsync. Folders with a
// quote in their name are left out: offlineimap 8.0.0 cannot select them.
func OfflineIMAP(ctx context.Context, addr, user, pass, dir string, opts ...DialOption) (SyncResult, error) {
	conf, err := offlineimapConf(addr, user, pass, dir, opts)
	if err != nil {
		return SyncResult{}, fmt.Errorf("offlineimap: %w", err)
	}
	r, err := syncRun{
		dir: dir, mail: filepath.Join(dir, "mail"), conf: "offlineimaprc", text: conf,
		argv: []string{"offlineimap", "-o", "-u", "basic", "-c", filepath.Join(dir, "offlineimaprc")},
	}.do(ctx)
	if err != nil {
		return r, fmt.Errorf("offlineimap: %w", err)
	}
	return r, nil
}

// offlineimapConf separates levels of local folders by "/": with the default,
// a dot, a folder "a.b" and a folder b in a folder a would be one.
func offlineimapConf(addr, user, pass, dir string, opts []DialOption) (string, error) {
	name, port, err := host(addr)
	if err != nil {
		return "", err
	}
	var how dialing
	for _, opt := range opts {
		opt(&how)
	}
	secure := "ssl = no\nstarttls = no"
	if how.caFile != "" {
		secure = "ssl = yes\nsslcacertfile = " + how.caFile
	}
	return fmt.Sprintf(`[general]
accounts = all
metadata = %s/state
fsync = False
socktimeout = 120

[Account all]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = %[1]s/mail
sep = /

[Repository far]
type = IMAP
remotehost = %s
remoteport = %s
remoteuser = %s
remotepass = %s
%s
auth_mechanisms = PLAIN, LOGIN
maxconnections = 2
expunge = no
folderfilter = lambda name: '"' not in name
`, dir, name, port, percent(user), percent(pass), secure), nil
}

// percent guards a value from interpolation, which ConfigParser does.
func percent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

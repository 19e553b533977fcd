package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// TB is the part of *testing.T that this package uses.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// packages names the Debian package that brings a binary.
var packages = map[string]string{
	"dovecot":      "dovecot-imapd",
	"doveadm":      "dovecot-core",
	"redis-server": "redis-server",
	"mbsync":       "isync",
	"offlineimap":  "offlineimap3",
	"curl":         "curl",
	"python3":      "python3",
	"cyrmaster":    "cyrus-common",
	"ctl_cyrusdb":  "cyrus-common",
	"saslpasswd2":  "sasl2-bin",
	"couriertcpd":  "courier-base",
	"couriertls":   "courier-base",
	"makeuserdb":   "courier-authlib-userdb",
	"authdaemond":  "courier-authlib",
	"nginx":        "nginx",
	"ngx_mail":     "libnginx-mod-mail",
	"haproxy":      "haproxy",
}

// unpacked tells where the binaries of packages are that cannot be installed
// beside Dovecot: .ci/deps unpacks them. Servers drop to users of their own
// there, so the folder cannot be below a home.
var unpacked = map[string]string{
	"cyrus-imapd":        "cyrus-imapd/usr/lib/cyrus/bin/imapd",
	"cyrus-idled":        "cyrus-imapd/usr/lib/cyrus/bin/idled",
	"courier-imapd":      "courier-imap/usr/bin/imapd",
	"courier-imaplogin":  "courier-imap/usr/lib/courier/courier/imaplogin",
	"courier-imapd-conf": "courier-imap/etc/courier/imapd",
}

const unpackedDir = "/var/cache/imapferry-testbed"

// libexec holds what Debian puts into no PATH.
var libexec = map[string]string{
	"ctl_cyrusdb": "/usr/lib/cyrus/bin/ctl_cyrusdb",
	"authdaemond": "/usr/lib/courier/courier-authlib/authdaemond",
	"ngx_mail":    "/usr/lib/nginx/modules/ngx_mail_module.so",
}

// Need fails the test, with the Debian packages to install, if one of the
// binaries is missing. It never skips: a check that cannot run is no check.
func Need(t TB, binaries ...string) {
	t.Helper()
	if err := need(binaries...); err != nil {
		t.Fatalf("%v", err)
	}
}

func need(binaries ...string) error {
	var missing, install, unpack []string
	for _, name := range binaries {
		if _, err := binary(name); err == nil {
			continue
		}
		missing = append(missing, name)
		if path, ok := unpacked[name]; ok {
			pkg, _, _ := strings.Cut(path, "/")
			unpack = append(unpack, pkg)
		} else if pkg, ok := packages[name]; ok {
			install = append(install, pkg)
		}
	}
	if missing == nil {
		return nil
	}
	text := "not installed: " + strings.Join(missing, ", ") + "; on Debian: "
	if unpack != nil {
		text += "run .ci/deps as root, which unpacks " + strings.Join(slices.Compact(unpack), " ") + " below " + unpackedDir
		if install != nil {
			text += " and installs " + strings.Join(slices.Compact(install), " ")
		}
		return errors.New(text)
	}
	return errors.New(text + "apt-get install " + strings.Join(slices.Compact(install), " "))
}

// needRoot fails for whom is not root, and says what it is needed for.
func needRoot(server, reason string) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("%s runs as root alone, since %s; this is user %d", server, reason, os.Getuid())
	}
	return nil
}

// binary also looks where daemons are and an ordinary user's PATH is not.
func binary(name string) (string, error) {
	if path, ok := unpacked[name]; ok {
		path = filepath.Join(unpackedDir, path)
		_, err := os.Stat(path)
		return path, err
	}
	if path, ok := libexec[name]; ok {
		_, err := os.Stat(path)
		return path, err
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		path := filepath.Join(dir, name)
		if fi, err := os.Stat(path); err == nil && fi.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (Debian: %s)", name, packages[name])
}

package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	var missing, install []string
	for _, name := range binaries {
		if _, err := binary(name); err == nil {
			continue
		}
		missing = append(missing, name)
		if pkg, ok := packages[name]; ok {
			install = append(install, pkg)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("not installed: %s; on Debian: apt-get install %s",
		strings.Join(missing, ", "), strings.Join(install, " "))
}

// binary also looks where daemons are and an ordinary user's PATH is not.
func binary(name string) (string, error) {
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

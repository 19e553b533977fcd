package testbed

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
)

// Ferry is a configuration of imapferry, which this package does not start:
// some tests have it in a process of their own, others in theirs.
type Ferry struct {
	Addr           string // with TLS; any free port if empty
	StartTLS       bool   // listens at another free port as well, without TLS
	Source, Target string // lines of the sections
	More           string // further sections
}

const ferryConf = `[listen]
imaps = [%[1]q]
imap = %[2]s
admin = "unix:%[3]s/admin.sock"
[tls]
mode = "files"
cert = %[4]q
key = %[5]q
[state]
url = "bolt:%[3]s/state.db"
[source]
%[6]s
[target]
%[7]s
%[8]s
`

// Ferry writes a configuration with the bed's certificate into dir, where the
// admin socket and the state will be, too, and returns the file's name.
func (b *Bed) Ferry(dir string, f Ferry) (file string, err error) {
	cert, err := b.tls()
	if err != nil {
		return "", err
	}
	const anyPort = "127.0.0.1:0"
	plain := "[]"
	if f.StartTLS {
		plain = fmt.Sprintf("[%q]", anyPort)
	}
	file = filepath.Join(dir, "imapferry.toml")
	text := fmt.Sprintf(ferryConf, cmp.Or(f.Addr, anyPort), plain, dir, cert.certFile, cert.keyFile, f.Source, f.Target, f.More)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("configure imapferry: %w", err)
	}
	return file, nil
}

// DoveadmLines are those of a target by which imapferry reaches doveadm; none
// if there is no doveadm.
func (d *Dovecot) DoveadmLines() string {
	if !d.Options.Doveadm {
		return ""
	}
	return fmt.Sprintf("doveadm_url = %q\ndoveadm_api_key = %q\n", d.DoveadmURL(), d.APIKey)
}

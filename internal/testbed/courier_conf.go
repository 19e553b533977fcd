package testbed

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// courierStart puts its folders over those that are built into Courier, and
// runs what Debian's init scripts run. Each couriertcpd makes a process group of
// its own; the shell is the first process of a namespace, so its end is theirs.
var courierStart = template.Must(template.New("start").Parse(`set -eu
trap 'kill -TERM -1; wait; exit' TERM
mount --bind {{.Dir}}/etc /etc/courier
mount --bind {{.Dir}}/run /run
rm -f /run/courier/authdaemon/socket
{{.Makeuserdb}}
set -a
prefix=/usr exec_prefix=/usr sbindir=/usr/sbin bindir=/usr/bin
. {{.Defaults}}
. /etc/courier/settings
COURIERTLS={{.TLS}}
set +a
{{.Authdaemond}} &
tcpd="{{.Tcpd}} -address=127.0.0.1 -maxprocs=$MAXDAEMONS -maxperip=$MAXPERIP -nodnslookup -noidentlookup"
$tcpd {{.IMAP}} {{.Login}} {{.Imapd}} Maildir &
IMAP_TLS=1 $tcpd {{.IMAPS}} $COURIERTLS -server -tcpd {{.Login}} {{.Imapd}} Maildir &
wait
`))

// settings is read after Debian's defaults. IMAP_EMPTYTRASH would expunge mail
// in Trash that is older than a week, which seeded mail is.
func (c *Courier) settings() string {
	set := map[string]string{
		"MAXDAEMONS":      "1000",
		"MAXPERIP":        "1000",
		"IMAP_STARTTLS":   "YES",
		"IMAP_EMPTYTRASH": "",
		// Seconds between looks at the folder in IDLE.
		"IMAP_IDLE_TIMEOUT": "1",
		"TLS_CERTFILE":      "/etc/courier/cert.pem",
		"TLS_VERIFYPEER":    "NONE",
		"TLS_CACHEFILE":     "",
		"MAILDIRPATH":       "Maildir",
	}
	maps.Copy(set, c.Options.Settings)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&text, "%s='%s'\n", key, strings.ReplaceAll(set[key], "'", `'\''`))
	}
	return text.String()
}

const authdaemonrc = `authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=3
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
`

// configure writes the folder of a Courier: configuration, users, mail.
func (c *Courier) configure(cert *certificate) error {
	for _, sub := range []string{"etc", "run", "run/courier", "run/courier/authdaemon", "mail"} {
		if err := os.Mkdir(c.file(sub), 0o755); err != nil {
			return err
		}
	}
	start, err := c.startScript()
	if err != nil {
		return err
	}
	bundle, err := cert.bundle()
	if err != nil {
		return err
	}
	users, err := c.userdb()
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"start": start, "etc/settings": c.settings(), "etc/authdaemonrc": authdaemonrc, "etc/cert.pem": bundle, "etc/userdb": users,
	} {
		if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return chownTree(c.MailDir, "mail", "mail")
}

func (c *Courier) startScript() (string, error) {
	data := struct {
		Dir, Defaults, Authdaemond, Makeuserdb, Login, Imapd, Tcpd, TLS string
		IMAP, IMAPS                                                     int
	}{Dir: c.dir, IMAP: c.port.imap, IMAPS: c.port.imaps}
	for name, path := range map[string]*string{
		"courier-imapd-conf": &data.Defaults, "authdaemond": &data.Authdaemond, "makeuserdb": &data.Makeuserdb,
		"courier-imaplogin": &data.Login, "courier-imapd": &data.Imapd,
		"couriertcpd": &data.Tcpd, "couriertls": &data.TLS,
	} {
		var err error
		if *path, err = binary(name); err != nil {
			return "", err
		}
	}
	var text strings.Builder
	err := courierStart.Execute(&text, data)
	return text.String(), err
}

// bundle is key and certificate in one.
func (c *certificate) bundle() (string, error) {
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return "", err
	}
	cert, err := os.ReadFile(c.certFile)
	return string(key) + string(cert), err
}

// userdb makes the users' Maildirs, and returns the text that makeuserdb makes a
// database of.
func (c *Courier) userdb() (string, error) {
	uid, gid, err := systemUser("mail", "mail")
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.Options.Users)) {
		if strings.ContainsAny(name, "\t\n|=/") {
			return "", fmt.Errorf("user %q: %w", name, errUserName)
		}
		home := filepath.Join(c.MailDir, name)
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(home, "Maildir", sub), 0o700); err != nil {
				return "", err
			}
		}
		sum := sha256.Sum256([]byte(c.Options.Users[name]))
		fmt.Fprintf(&text, "%s\tuid=%d|gid=%d|home=%s|mail=%s/Maildir|systempw={SHA256}%s\n",
			name, uid, gid, home, home, base64.StdEncoding.EncodeToString(sum[:]))
	}
	return text.String(), nil
}

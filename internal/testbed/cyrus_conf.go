package testbed

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cyrusHost is the server's name. Its users' realm is the same.
const cyrusHost = "localhost"

// configure writes the folder of a Cyrus, and gives it to the user cyrus.
func (c *Cyrus) configure(cert *certificate) error {
	for _, sub := range []string{"conf", "conf/socket", "spool"} {
		if err := os.Mkdir(c.file(sub), 0o755); err != nil {
			return err
		}
	}
	// The bed's key is for its owner alone.
	for name, from := range map[string]string{"cert.pem": cert.certFile, "key.pem": cert.keyFile} {
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.file(name), text, 0o600); err != nil {
			return err
		}
	}
	services, err := c.services()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file("cyrus.conf"), []byte(services), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(c.file("imapd.conf"), []byte(c.settings()), 0o644); err != nil {
		return err
	}
	if err := c.writePasswords(); err != nil {
		return err
	}
	return chownTree(c.dir, "cyrus", "mail")
}

// settings is imapd.conf. Cyrus takes a setting that comes twice for an error.
func (c *Cyrus) settings() string {
	set := map[string]string{
		"configdirectory":   c.file("conf"),
		"partition-default": c.file("spool"),
		"defaultpartition":  "default",
		"servername":        cyrusHost,
		"admins":            c.Options.AdminUser,
		"proxyservers":      c.Options.ProxyUser,
		"allowplaintext":    "yes",
		"altnamespace":      onOff(c.Options.AltNamespace),
		"unixhierarchysep":  onOff(c.Options.Separator == "/"),
		"virtdomains":       "off",
		// Passwords are compared in the process, without a daemon.
		"sasl_pwcheck_method": "auxprop",
		"sasl_auxprop_plugin": "sasldb",
		"sasl_sasldb_path":    c.file("sasldb2"),
		"sasl_mech_list":      "PLAIN LOGIN",
		"tls_server_cert":     c.file("cert.pem"),
		"tls_server_key":      c.file("key.pem"),
		"delete_mode":         "immediate",
		"expunge_mode":        "immediate",
		// A wrong password would hold the connection up for three seconds.
		"failedloginpause": "0",
		"imapidlepoll":     "1", // seconds, where idled does not tell at once
	}
	if c.Options.Idle == "off" {
		set["imapidlepoll"] = "0"
	}
	maps.Copy(set, c.Options.Settings)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&text, "%s: %s\n", key, set[key])
	}
	return text.String()
}

func onOff(on bool) string {
	if on {
		return "yes"
	}
	return "no"
}

// services is cyrus.conf, which says what the master runs.
func (c *Cyrus) services() (string, error) {
	paths := map[string]string{}
	for _, name := range []string{"cyrus-imapd", "cyrus-idled", "ctl_cyrusdb"} {
		path, err := binary(name)
		if err != nil {
			return "", err
		}
		paths[name] = path
	}
	conf := c.file("imapd.conf")
	daemons := ""
	if c.Options.Idle == "idled" {
		daemons = fmt.Sprintf("idled cmd=%q", paths["cyrus-idled"]+" -d -C "+conf)
	}
	return fmt.Sprintf(`START {
  recover cmd="%s -C %s -r"
}
DAEMON {
  %s
}
SERVICES {
  imap cmd="%s -C %[2]s -U 30" listen="127.0.0.1:%[5]d" prefork=1 maxchild=-1
  imaps cmd="%[4]s -C %[2]s -s -U 30" listen="127.0.0.1:%[6]d" prefork=0 maxchild=-1
}
EVENTS {
}
`, paths["ctl_cyrusdb"], conf, daemons, paths["cyrus-imapd"], c.port.imap, c.port.imaps), nil
}

func (c *Cyrus) writePasswords() error {
	all := maps.Clone(c.Options.Users)
	all[c.Options.AdminUser] = c.Options.AdminPassword
	all[c.Options.ProxyUser] = c.Options.ProxyPassword
	for name, password := range all {
		if err := c.setPassword(name, password); err != nil {
			return fmt.Errorf("set password of %s: %w", name, err)
		}
	}
	return nil
}

// setPassword gives the password by stdin, without a line end, which would be
// part of it.
func (c *Cyrus) setPassword(name, password string) error {
	bin, err := binary("saslpasswd2")
	if err != nil {
		return err
	}
	cmd := exec.Command(bin, "-f", c.file("sasldb2"), "-p", "-c", "-u", cyrusHost, name)
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// chownTree gives a folder with all that is in it to a system user.
func chownTree(dir, name, group string) error {
	uid, gid, err := systemUser(name, group)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

func systemUser(name, group string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return uid, gid, err
}

package testbed

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// dovecotConf is the configuration. Some lines answer to traps:
//   - the auth penalty delays logins from an address that has failed before by
//     up to 15 s, and behind a proxy all users have one address: anvil's socket
//     for it is closed;
//   - with the acl plugin a master user sees no folder unless acl_user is set;
//   - doveadm forks for each request unless service_count is raised;
//   - an ordinary user cannot chroot.
var dovecotConf = template.Must(template.New("dovecot.conf").Parse(`
instance_name = {{.Name}}
base_dir = {{.Dir}}/run
state_dir = {{.Dir}}/state
listen = 127.0.0.1
protocols = imap
log_path = {{.Dir}}/log
log_timestamp = "%Y-%m-%d %H:%M:%S.%{usecs} "
auth_verbose = yes
default_internal_user = {{.User}}
default_internal_group = {{.Group}}
default_login_user = {{.LoginUser}}
first_valid_uid = 1
first_valid_gid = 1
{{- range .Unchrooted}}
service {{.}} {
  chroot =
}
{{- end}}
ssl = yes
ssl_cert = <{{.Cert}}
ssl_key = <{{.Key}}
ssl_client_require_valid_cert = no
ssl_client_ca_file = {{.Cert}}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_master_user_separator = *
auth_failure_delay = 0
mail_max_userip_connections = 10000
{{- if ne .Opt.LoginTrusted "none"}}
login_trusted_networks = {{.Opt.LoginTrusted}}
{{- end}}
mail_location = {{.Opt.Format}}:~/{{.Opt.Format}}
mailbox_list_index = yes
mail_prefetch_count = 20
mail_fsync = never
mail_attribute_dict = file:%h/dovecot-attributes
{{- if .Opt.Plugins}}
mail_plugins = quota acl zlib notify mail_log
plugin {
  quota = count:User quota
  quota_rule = *:storage=10G
  quota_vsizes = yes
  acl = vfile
  acl_user = %u
  mail_log_events = delete undelete expunge copy save mailbox_create mailbox_delete mailbox_rename flag_change
  mail_log_fields = uid box msgid size
}
{{- end}}
passdb {
  driver = passwd-file
  args = {{.Dir}}/masters
  master = yes
}
passdb {
  driver = passwd-file
  args = username_format=%u {{.Dir}}/users
}
userdb {
  driver = passwd-file
  args = username_format=%u {{.Dir}}/users
}
namespace inbox {
  inbox = yes
  separator = {{.Opt.Separator}}
  prefix = {{.Opt.Prefix}}
  mailbox Sent {
    special_use = \Sent
  }
  mailbox Drafts {
    special_use = \Drafts
  }
  mailbox Trash {
    special_use = \Trash
  }
  mailbox Junk {
    special_use = \Junk
  }
}
protocol imap {
{{- if .Opt.Plugins}}
  mail_plugins = $mail_plugins imap_quota imap_acl imap_zlib
{{- end}}
  imap_metadata = yes
}
{{- if .Opt.ImapcPort}}
imapc_host = 127.0.0.1
imapc_port = {{.Opt.ImapcPort}}
imapc_ssl = {{.Opt.ImapcSSL}}
imapc_ssl_verify = no
imapc_features = rfc822.size fetch-headers modseq
imapc_user = %u
imapc_master_user = {{.Opt.MasterUser}}
imapc_password = {{.Opt.MasterPassword}}
{{- end}}
service imap-login {
  inet_listener imap {
    port = {{.Port.IMAP}}
  }
  inet_listener imaps {
    port = {{.Port.IMAPS}}
    ssl = yes
  }
{{- if .Opt.HAProxy}}
  inet_listener imap_haproxy {
    port = {{.Port.HAProxy}}
    haproxy = yes
  }
  inet_listener imaps_haproxy {
    port = {{.Port.HAProxyS}}
    haproxy = yes
    ssl = yes
  }
{{- end}}
}
{{- if .Opt.HAProxy}}
haproxy_trusted_networks = 127.0.0.0/8
{{- end}}
{{- if .Opt.Doveadm}}
doveadm_password = {{.DoveadmPassword}}
doveadm_api_key = {{.APIKey}}
service doveadm {
  service_count = 1000
  inet_listener tcp {
    port = {{.Port.Doveadm}}
  }
  inet_listener http {
    port = {{.Port.HTTP}}
  }
}
{{- end}}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
{{.Opt.ExtraConfig}}
`))

type dovecotConfData struct {
	Name, Dir, Cert, Key    string
	User, Group, LoginUser  string
	Unchrooted              []string
	Opt                     DovecotOptions
	Port                    struct{ IMAP, IMAPS, Doveadm, HTTP, HAProxy, HAProxyS int }
	DoveadmPassword, APIKey string
}

// configure writes the folder of a Dovecot: configuration, users, mail.
func (d *Dovecot) configure(name, dir string, cert *certificate) error {
	who, err := runAs()
	if err != nil {
		return err
	}
	if err := makeHome(dir, who); err != nil {
		return err
	}
	data := dovecotConfData{
		Name: name, Dir: dir, Cert: cert.certFile, Key: cert.keyFile,
		User: who.internal, Group: who.group, LoginUser: who.login, Unchrooted: who.unchrooted,
		Opt: d.Options, DoveadmPassword: DoveadmPassword, APIKey: d.APIKey,
	}
	p := &data.Port
	p.IMAP, p.IMAPS, p.Doveadm, p.HTTP = d.port.imap, d.port.imaps, d.port.doveadm, d.port.http
	p.HAProxy, p.HAProxyS = d.port.haproxy, d.port.haproxys
	var text strings.Builder
	if err := dovecotConf.Execute(&text, data); err != nil {
		return err
	}
	if err := os.WriteFile(d.conf, []byte(text.String()), 0o644); err != nil {
		return err
	}
	master := fmt.Sprintf("%s:%s\n", d.Options.MasterUser, plain(d.Options.MasterPassword))
	if err := os.WriteFile(filepath.Join(dir, "masters"), []byte(master), 0o644); err != nil {
		return err
	}
	d.mailUID, d.mailGID = who.uid, who.gid
	return d.writeUsers(d.Options.Users)
}

// runner names the system users of a Dovecot: as root its own, which Debian's
// packages make, otherwise the one user there is.
type runner struct {
	internal, group, login string
	uid, gid               int // of the mail
	unchrooted             []string
}

func runAs() (runner, error) {
	if os.Getuid() == 0 {
		mail, err := user.Lookup("mail")
		if err != nil {
			return runner{}, err
		}
		r := runner{internal: "dovecot", group: "dovecot", login: "dovenull"}
		r.uid, _ = strconv.Atoi(mail.Uid)
		r.gid, _ = strconv.Atoi(mail.Gid)
		return r, nil
	}
	me, err := user.Current()
	if err != nil {
		return runner{}, err
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		return runner{}, err
	}
	return runner{
		internal: me.Username, group: group.Name, login: me.Username,
		uid: os.Getuid(), gid: os.Getgid(),
		unchrooted: []string{"anvil", "imap-login", "pop3-login"},
	}, nil
}

func makeHome(dir string, who runner) error {
	for _, sub := range []string{"run", "state", "mail"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	return os.Chown(filepath.Join(dir, "mail"), who.uid, who.gid)
}

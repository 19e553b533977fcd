package testbed

import (
	"fmt"
	"net"
	"strings"
)

// dovecotProxyConf has login processes that stay and serve many: with one for
// each session, Dovecot's default, an idle session costs more than a megabyte.
const dovecotProxyConf = `instance_name = %[1]s
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[4]s
ssl = yes
ssl_cert = <%[5]s
ssl_key = <%[6]s
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_max_userip_connections = 100000
passdb {
  driver = static
  args = proxy=y host=%[7]s port=%[8]s nopassword=y
}
userdb {
  driver = static
  args = uid=5000 gid=5000 home=/nonexistent
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = %[9]s
    ssl = yes
  }
  service_count = 0
  client_limit = 9000
  process_min_avail = 2
  process_limit = 2
  vsz_limit = 4G
}
service anvil {
  client_limit = 20000
}
service auth {
  client_limit = 20000
}
service log {
  client_limit = 20000
}
service stats {
  client_limit = 20000
}
`

// DovecotProxy starts a Dovecot that passes each login on to a backend that
// speaks IMAP in clear text, with TLS in front.
func (b *Bed) DovecotProxy(backend string) (*Program, error) {
	who, err := runAs()
	if err != nil {
		return nil, fmt.Errorf("make dovecot proxy: %w", err)
	}
	text := func(dir, addr string, cert *certificate) (string, error) {
		if len(dir+"/run") > maxRunDir {
			return "", fmt.Errorf("%s: %w", dir, errLongPath)
		}
		host, port, err := net.SplitHostPort(backend)
		if err != nil {
			return "", err
		}
		_, own, err := net.SplitHostPort(addr)
		if err != nil {
			return "", err
		}
		conf := fmt.Sprintf(dovecotProxyConf, dir, who.internal, who.group, who.login, cert.certFile, cert.keyFile, host, port, own)
		for _, service := range who.unchrooted {
			if service != "pop3-login" { // no such service here
				conf += "service " + service + " {\n  chroot =\n}\n"
			}
		}
		return conf, makeHome(dir, who)
	}
	p, err := b.configured("d", text, "dovecot", "-F", "-c")
	if err != nil {
		return nil, fmt.Errorf("make dovecot proxy: %w", err)
	}
	p.logs = append(p.logs, strings.Replace(p.out, "stderr", "log", 1))
	return p, nil
}

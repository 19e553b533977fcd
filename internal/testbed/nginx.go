package testbed

import "fmt"

// nginx runs two workers, as the two threads of HAProxy and the two processes
// of Dovecot do. It asks authHTTP for each login where the backend is.
const nginxConf = `load_module %[1]s;
daemon off;
worker_processes 2;
worker_rlimit_nofile 20000;
pid %[2]s/pid;
error_log %[2]s/log error;
events { worker_connections 19900; }
mail {
  auth_http %[3]s;
  imap_capabilities "IMAP4rev1" "LITERAL+" "SASL-IR" "ID" "IDLE" "NAMESPACE" "UIDPLUS";
  imap_auth plain login;
  proxy_timeout 24h;
  ssl_certificate %[4]s;
  ssl_certificate_key %[5]s;
  ssl_protocols TLSv1.3;
  server { listen %[6]s ssl; protocol imap; }
}
`

// Nginx starts nginx as an IMAP proxy with TLS in front. authHTTP is the URL
// that says where a login goes.
func (b *Bed) Nginx(authHTTP string) (*Program, error) {
	module, err := binary("ngx_mail")
	if err != nil {
		return nil, fmt.Errorf("make nginx: %w", err)
	}
	text := func(dir, addr string, cert *certificate) (string, error) {
		return fmt.Sprintf(nginxConf, module, dir, authHTTP, cert.certFile, cert.keyFile, addr), nil
	}
	p, err := b.configured("n", text, "nginx", "-p", b.dir, "-e", "stderr", "-c")
	if err != nil {
		return nil, fmt.Errorf("make nginx: %w", err)
	}
	return p, nil
}

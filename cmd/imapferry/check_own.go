package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"imapferry/internal/backend"
	"imapferry/tls"
)

// expiresSoon is when a certificate that nobody has renewed yet is worth a warning.
const expiresSoon = 14 * 24 * time.Hour

// certificates tries those that imapferry shows to clients. An ACME order is left to serve: it needs the challenge ports.
func (k *checker) certificates(ctx context.Context) {
	switch k.cfg.TLS.Mode {
	case tls.ModeACME:
		k.acmeNames(ctx)
		return
	case tls.ModeSelfSigned:
		k.warn("tls", "for trials only; set tls.mode to acme or files before users come", "self-signed: no client trusts it")
		return
	}
	certs, err := tls.New(ctx, k.cfg.TLS, slog.New(slog.DiscardHandler))
	if err != nil {
		k.fail("tls", "set tls.cert and tls.key to a PEM chain and its key, readable by imapferry's user", "%v", err)
		return
	}
	defer certs.Close()
	for _, info := range certs.Info() {
		k.expiry("tls", "renew it", info.Names, info.NotAfter)
	}
}

func (k *checker) expiry(check, advice string, names []string, end time.Time) {
	left := time.Until(end)
	what, day := strings.Join(names, ", "), end.UTC().Format(time.DateOnly)
	switch {
	case left <= 0:
		k.fail(check, advice, "certificate for %s has expired on %s", what, day)
	case left < expiresSoon:
		k.warn(check, advice, "certificate for %s expires on %s", what, day)
	default:
		k.ok(check, "certificate for %s until %s", what, day)
	}
}

func (k *checker) acmeNames(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	for _, name := range k.cfg.TLS.ACME.Domains {
		if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
			k.warn("tls", "the CA must find this host by the name", "acme: %v", err)
			continue
		}
		k.ok("tls", "acme: %s is known to DNS; the certificate is ordered by serve", name)
	}
}

// names tells by what rules names become users. The aliases have been read with the configuration.
func (k *checker) names() {
	u := k.cfg.Users
	k.ok("users", "default domain %s, aliases %s", or(u.DefaultDomain, "none"), or(withoutSecret(u.Aliases), "none"))
}

// moves warns where nobody would ever be moved: users' passwords come from logins alone.
func (k *checker) moves() {
	if !k.cfg.Migrate.OnLogin && (k.cfg.Source.Login == backend.Passthrough || k.cfg.Target.Login == backend.Passthrough) {
		k.warn("migrate", "set migrate.on_login, or a master login at both servers", "nobody is moved: on_login is off, and passthrough needs the passwords of logins")
	}
}

// withoutSecret cuts a URL down to scheme, host and path: its user part and query may hold a password (I8). A file's
// name stays whole.
func withoutSecret(place string) string {
	u, err := url.Parse(place)
	if err != nil || u.Host == "" {
		return place
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// listeners tries to take each address for a moment.
func (k *checker) listeners() {
	l := k.cfg.Listen
	for _, addr := range append(append([]string(nil), l.IMAPS...), l.IMAP...) {
		k.listener("listen", addr)
	}
	switch {
	case l.Admin == "" || strings.HasPrefix(l.Admin, "unix:"):
	case !loopback(l.Admin):
		k.warn("admin", "whoever reaches it commands imapferry; use 127.0.0.1 or a unix socket", "%s is reachable from other hosts", l.Admin)
	default:
		k.listener("admin", l.Admin)
	}
}

func (k *checker) listener(check, addr string) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		ln.Close()
		k.ok(check, "%s is free", addr)
	case errors.Is(err, syscall.EADDRINUSE):
		k.warn(check, "as it should be if imapferry runs; otherwise another server must go first", "%s is in use", addr)
	case errors.Is(err, syscall.EACCES):
		k.warn(check, "serve needs CAP_NET_BIND_SERVICE, which the unit file gives it", "%s: this user may not listen there", addr)
	default:
		k.fail(check, "give an address of this host", "%v", err)
	}
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

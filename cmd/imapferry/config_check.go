package main

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"imapferry/internal/backend"
	"imapferry/proxy"
	"imapferry/state/redisstate"
)

// check looks at the whole configuration. The sections that belong to a package are checked by that package.
func (l *loader) check() {
	l.checkListen()
	l.adopt("tls", l.cfg.TLS.Validate())
	l.checkState()
	_, err := proxy.NewNames(l.cfg.Users)
	l.adopt("users", err)
	l.checkProve()
	_, err = backend.New("source", l.cfg.Source)
	l.adopt("source", err)
	target, err := backend.New("target", l.cfg.Target.Config)
	l.adopt("target", err)
	if worker := l.cfg.Target.WorkerURL; worker != "" && target != nil {
		if _, err := target.WithURL(worker); err != nil {
			l.complain(l.place("target.worker_url"), "target.worker_url", "wants another listener of the target, as in imaps://host:1993: %v", err)
		}
	}
	l.adopt("target", l.cfg.Target.TargetSettings.Validate())
	l.adopt("migrate", l.cfg.Migrate.Validate())
	if same := l.cfg.Source.URL; same != "" && same == l.cfg.Target.URL {
		l.complain(l.place("target.url"), "target.url", "is the same as source.url; give the new server")
	}
}

// adopt takes over what a package says of its section. Each of its errors begins with the full key.
func (l *loader) adopt(section string, err error) {
	if err == nil {
		return
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			l.adopt(section, e)
		}
		return
	}
	key, text, _ := strings.Cut(err.Error(), ": ")
	if !l.keys[key].IsValid() {
		key, text = section, err.Error()
	}
	l.complain(l.place(key), key, "%s", text)
}

func (l *loader) checkProve() {
	known := []proxy.Prove{proxy.ProveRoute, proxy.ProveSource, proxy.ProveTarget}
	if p := l.cfg.Auth.Prove; !slices.Contains(known, p) {
		l.complain(l.place("auth.prove"), "auth.prove", "%q is not one of route, source, target", p)
	}
}

func (l *loader) checkListen() {
	c := l.cfg.Listen
	if len(c.IMAPS)+len(c.IMAP) == 0 {
		l.complain(l.place("listen.imaps"), "listen.imaps", "empty, and listen.imap too; give at least one address, such as [\"0.0.0.0:993\"]")
	}
	for _, addr := range c.IMAPS {
		l.checkAddress("listen.imaps", addr)
	}
	for _, addr := range c.IMAP {
		l.checkAddress("listen.imap", addr)
	}
	if path, unix := strings.CutPrefix(c.Admin, "unix:"); unix {
		if !filepath.IsAbs(path) {
			l.complain(l.place("listen.admin"), "listen.admin", "%q: give an absolute path, as in unix:/run/imapferry/admin.sock", c.Admin)
		}
	} else if c.Admin != "" {
		l.checkAddress("listen.admin", c.Admin)
	}
	for _, network := range c.ProxyProtocolFrom {
		if _, err := netip.ParsePrefix(network); err != nil {
			l.complain(l.place("listen.proxy_protocol_from"), "listen.proxy_protocol_from", "%q is no network; write it as 10.0.0.0/8 or 192.0.2.7/32", network)
		}
	}
}

func (l *loader) checkAddress(key, addr string) {
	_, port, err := net.SplitHostPort(addr)
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n > 65535 {
		l.complain(l.place(key), key, "%q is no address; write it as host:port, such as \"0.0.0.0:993\"", addr)
	}
}

// Bounds of state.node_ttl. A node asks the store every third of it, and gives it a twelfth to answer; a cutover waits as long for one
// that has died.
const leastTTL, mostTTL = 3 * time.Second, 10 * time.Minute

func (l *loader) checkState() {
	c := l.cfg.State
	scheme, rest, _ := strings.Cut(string(c.URL), ":")
	if ttl := c.NodeTTL; ttl < leastTTL || ttl > mostTTL {
		l.complain(l.place("state.node_ttl"), "state.node_ttl", "%s is not between %s and %s", ttl, leastTTL, mostTTL)
	}
	switch scheme {
	case "bolt":
		if rest == "" || strings.HasSuffix(rest, "/") {
			l.complain(l.place("state.url"), "state.url", "names no file; write it as in bolt:/var/lib/imapferry/state.db")
		}
		l.idle("state.password", c.Password != "")
		l.idle("state.tls_ca", c.TLSCA != "")
		l.idle("state.confirm_replicas", c.ConfirmReplicas != 0)
	case "redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster":
		l.adopt("state", redisstate.Validate(string(c.URL), c.redis()))
	default:
		l.complain(l.place("state.url"), "state.url", "the scheme is not one of bolt, redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster; give bolt:/path or redis://host:6379")
	}
}

// idle complains about a key that is for a Redis alone.
func (l *loader) idle(key string, given bool) {
	if given {
		l.complain(l.place(key), key, "has no meaning while state.url is a file; remove it, or give a Redis")
	}
}

// problemsOf lists the errors that err joins.
func problemsOf(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

package main

import (
	"context"
	cryptotls "crypto/tls"
	"errors"
	"slices"
	"strings"

	"imapferry/internal/backend"
	"imapferry/state"
)

// servers tries the source and the target, and what results from both.
func (k *checker) servers(ctx context.Context) {
	source := k.server(ctx, "source", k.cfg.Source)
	target := k.server(ctx, "target", k.cfg.Target.Config)
	if source.caps != nil && target.caps != nil {
		k.common(source, target)
	}
	k.folderNames(ctx, source, target)
	if target.caps != nil {
		k.adapter(ctx, target)
	}
	if source.caps == nil {
		k.Fidelity = "" // nothing results from a source that cannot be read
	}
	if url := k.cfg.Target.WorkerURL; url != "" {
		worker := k.cfg.Target.Config
		worker.URL = url
		k.server(ctx, "target worker_url", worker)
	}
}

// adapter tries by what means UIDs will be made equal at the target, and tells the fidelity that results.
func (k *checker) adapter(ctx context.Context, target side) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	name, fidelity, err := k.cfg.Target.Probe(ctx)
	switch {
	case err != nil:
		k.fail("adapter", "see target.doveadm_url and target.doveadm_api_key, and the target's doveadm_api_key and http listener", "%s: %v", name, err)
		return
	case target.entered && !target.caps.Has("UIDPLUS"):
		k.fail("adapter", "equal UIDs cannot be made without UIDPLUS (RFC 4315); enable it on the target", "%s: the target offers no UIDPLUS", name)
		return
	case fidelity == state.Translated:
		k.ok("adapter", "%s: UIDs are kept; UIDVALIDITY is kept for clients that come through imapferry", name)
	default:
		k.ok("adapter", "%s: UIDs and UIDVALIDITY are kept in the target itself", name)
	}
	k.Fidelity = fidelity
}

// side is what one server offers.
type side struct {
	caps    backend.Caps // nil if the server cannot be used
	entered bool         // caps are those after a login; servers tell little before
}

// server tries one server, up to a login if that needs no secret of the user's.
func (k *checker) server(ctx context.Context, name string, cfg backend.Config) side {
	b, err := backend.New(name, cfg)
	if err != nil {
		k.fail(name, "see the configuration", "%v", err)
		return side{}
	}
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	conn, err := b.Dial(ctx, nil)
	if err != nil {
		k.fail(name, dialAdvice(name, err), "%v", err)
		return side{}
	}
	defer conn.Close()
	k.ok(name, "%s answers", b.Addr())
	k.serverTLS(name, cfg, conn)
	if !conn.Caps.Has("IMAP4REV1") && !conn.Caps.Has("IMAP4REV2") {
		k.fail(name, "give an IMAP server", "%s offers no IMAP4rev1", b.Addr())
		return side{}
	}
	return k.login(ctx, name, b, conn)
}

func dialAdvice(name string, err error) string {
	var verification *cryptotls.CertificateVerificationError
	var refused *backend.Refused
	var record cryptotls.RecordHeaderError
	switch {
	case errors.As(err, &verification):
		return "set " + name + ".tls_ca to the PEM of its CA, or write the host in " + name + ".url as in the certificate"
	case errors.As(err, &refused):
		return "the server said no; see its log"
	case errors.As(err, &record):
		return "the port speaks no TLS; use imap+starttls:// with port 143 or imaps:// with port 993"
	}
	return "see that the server runs, that " + name + ".url has its port, and that no firewall is between"
}

func (k *checker) serverTLS(name string, cfg backend.Config, conn *backend.Conn) {
	tc, ok := conn.Conn.(*cryptotls.Conn)
	switch {
	case !ok && loopback(conn.RemoteAddr().String()):
		k.ok(name+" tls", "none, on loopback")
	case !ok:
		k.warn(name+" tls", "use imaps:// or imap+starttls://, unless the network is yours alone", "none: passwords and mail go in clear text")
	case cfg.TLSInsecure:
		k.warn(name+" tls", "set "+name+".tls_ca and remove tls_insecure", "the certificate is not verified")
	default:
		leaf := tc.ConnectionState().PeerCertificates[0]
		names := slices.Clone(leaf.DNSNames)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		k.expiry(name+" tls", "have it renewed on the "+name, names, leaf.NotAfter)
	}
}

// login enters the account of the user that was named.
func (k *checker) login(ctx context.Context, name string, b *backend.Backend, conn *backend.Conn) side {
	check, before := name+" login", side{conn.Caps, false}
	switch {
	case b.NeedsSecret():
		k.ok(check, "passthrough: tried when users log in")
		return before
	case k.user == "":
		k.warn(check, "give --user NAME to try it", "%s: not tried", b.Method())
		return before
	}
	if _, err := conn.Login(ctx, k.user, ""); err != nil {
		k.fail(check, "see "+name+".login, "+name+".master_user, "+name+".master_password and "+name+".user", "%s as %s: %v", b.Method(), k.user, err)
		return before
	}
	k.ok(check, "%s as %s", b.Method(), k.user)
	return side{conn.Caps, true}
}

// watched are the capabilities that clients notice when they are gone.
var watched = []string{"IDLE", "CONDSTORE", "QRESYNC", "MOVE", "UIDPLUS", "SPECIAL-USE", "LIST-EXTENDED", "SORT", "THREAD=REFERENCES",
	"ESEARCH", "SEARCHRES", "BINARY", "NOTIFY", "COMPRESS=DEFLATE", "METADATA", "ACL", "QUOTA", "NAMESPACE", "UTF8=ACCEPT"}

// common compares the capabilities of both sides: users who are not migrated yet are promised what both have.
func (k *checker) common(source, target side) {
	if !source.entered || !target.entered {
		k.ok("capabilities", "compared when the first user has logged in")
		return
	}
	var both, lost []string
	for _, name := range watched {
		switch {
		case source.caps.Has(name) && target.caps.Has(name):
			both = append(both, name)
		case source.caps.Has(name):
			lost = append(lost, name)
		}
	}
	k.ok("capabilities", "both sides: %s", strings.Join(both, " "))
	if len(lost) > 0 {
		k.warn("capabilities", "clients go on without them; enable them on the target if it can", "source only: %s", strings.Join(lost, " "))
	}
}

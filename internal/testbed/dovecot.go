package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// DovecotOptions says how a Dovecot is configured. The zero value is a maildir
// server with users alice, bob and carol, password "pass".
type DovecotOptions struct {
	Format    string // maildir (default), mdbox or sdbox
	Separator string // default "/"
	Prefix    string // of the personal namespace, default none

	Users          map[string]string // name to password
	MasterUser     string            // default "master"; also as user*master and as PLAIN authzid
	MasterPassword string            // default "masterpass"

	Doveadm bool // HTTP API and doveadm's own protocol; without it neither listens
	HAProxy bool // two more listeners that demand a PROXY protocol header
	Plugins bool // quota, acl, zlib and mail_log

	LoginTrusted string // login_trusted_networks; default 127.0.0.0/8, "none" for none

	ImapcPort int    // server that "imapc:" stands for in doveadm backup -R
	ImapcSSL  string // imaps (default), starttls or no

	ExtraConfig string // goes last, so it wins
}

// Dovecot is a running Dovecot. It keeps ports and mail when it is stopped.
type Dovecot struct {
	*server
	CertFile string // PEM of the certificate, which is its own authority
	APIKey   string // of the HTTP API
	MailDir  string // holds one home per user
	Options  DovecotOptions

	conf  string
	users string // passwd file
	port  dovecotPorts

	mailUID, mailGID int
}

type dovecotPorts struct{ imap, imaps, doveadm, http, haproxy, haproxys int }

// DoveadmPassword is the password of doveadm's own protocol.
const DoveadmPassword = "adm"

// Unix sockets are limited to 107 bytes on Linux, the longest name that
// Dovecot makes below its run folder takes some 30.
const maxRunDir = 75

var errLongPath = errors.New("folder name is too long for unix sockets")

// Dovecot configures a Dovecot, starts it and returns when it answers.
func (b *Bed) Dovecot(opt DovecotOptions) (*Dovecot, error) {
	if err := need("dovecot", "doveadm"); err != nil {
		return nil, err
	}
	d, err := b.makeDovecot(withDefaults(opt))
	if err != nil {
		return nil, fmt.Errorf("make dovecot: %w", err)
	}
	b.add(d.server)
	return d, d.start()
}

func withDefaults(o DovecotOptions) DovecotOptions {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.Format, "maildir")
	def(&o.Separator, "/")
	def(&o.MasterUser, "master")
	def(&o.MasterPassword, "masterpass")
	def(&o.LoginTrusted, "127.0.0.0/8")
	def(&o.ImapcSSL, "imaps")
	if o.Users == nil {
		o.Users = map[string]string{"alice": "pass", "bob": "pass", "carol": "pass"}
	}
	o.Users = maps.Clone(o.Users)
	return o
}

func (b *Bed) makeDovecot(opt DovecotOptions) (*Dovecot, error) {
	name, dir, err := b.folder("d")
	if err != nil {
		return nil, err
	}
	if len(filepath.Join(dir, "run")) > maxRunDir {
		return nil, fmt.Errorf("%s: %w", dir, errLongPath)
	}
	cert, err := b.tls()
	if err != nil {
		return nil, err
	}
	bin, err := binary("dovecot")
	if err != nil {
		return nil, err
	}
	d := &Dovecot{
		CertFile: cert.certFile, APIKey: "apikey", MailDir: filepath.Join(dir, "mail"),
		Options: opt, conf: filepath.Join(dir, "dovecot.conf"), users: filepath.Join(dir, "users"),
	}
	if err := d.takePorts(b); err != nil {
		return nil, err
	}
	if err := d.configure(name, dir, cert); err != nil {
		return nil, err
	}
	d.server = &server{
		name: "dovecot " + name, argv: []string{bin, "-F", "-c", d.conf}, dir: dir,
		out: filepath.Join(dir, "stderr"), logs: []string{filepath.Join(dir, "log")},
		ready: func(ctx context.Context) error { return greets(ctx, d.IMAP(), "* OK") },
	}
	return d, nil
}

func (d *Dovecot) takePorts(b *Bed) error {
	want := []*int{&d.port.imap, &d.port.imaps}
	if d.Options.Doveadm {
		want = append(want, &d.port.doveadm, &d.port.http)
	}
	if d.Options.HAProxy {
		want = append(want, &d.port.haproxy, &d.port.haproxys)
	}
	for _, p := range want {
		port, err := b.port()
		if err != nil {
			return err
		}
		*p = port
	}
	return nil
}

// IMAP returns the address that speaks IMAP with STARTTLS.
func (d *Dovecot) IMAP() string { return loopback(d.port.imap) }

// IMAPS returns the address that speaks IMAP over TLS.
func (d *Dovecot) IMAPS() string { return loopback(d.port.imaps) }

// IMAPHAProxy and IMAPSHAProxy are as IMAP and IMAPS, behind a PROXY protocol
// header; the header comes before the TLS handshake.
func (d *Dovecot) IMAPHAProxy() string { return loopback(d.port.haproxy) }

// IMAPSHAProxy is described at IMAPHAProxy.
func (d *Dovecot) IMAPSHAProxy() string { return loopback(d.port.haproxys) }

// DoveadmHTTP returns the address of the HTTP API, empty without Doveadm.
func (d *Dovecot) DoveadmHTTP() string { return loopback(d.port.http) }

// DoveadmURL returns the address of the HTTP API as an URL.
func (d *Dovecot) DoveadmURL() string { return "http://" + d.DoveadmHTTP() + "/doveadm/v1" }

// Start starts the server again on the same ports, after Stop or Kill.
func (d *Dovecot) Start() error { return d.start() }

// Reload has the server read its configuration and users again.
func (d *Dovecot) Reload() error { return d.signal(1, syscall.SIGHUP) }

// Doveadm runs a doveadm command against this server and returns what it
// printed; the error carries what it complained about.
func (d *Dovecot) Doveadm(ctx context.Context, args ...string) ([]byte, error) {
	bin, err := binary("doveadm")
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, bin, append([]string{"-c", d.conf}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return out, fmt.Errorf("doveadm %s: %w", args[0], err)
	}
	return out, nil
}

// AwaitLog waits until the log holds the text. Dovecot's processes log through
// another process, so a line may come after the answer to the client.
func (d *Dovecot) AwaitLog(ctx context.Context, text string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		log, err := os.ReadFile(d.logs[0])
		if err != nil || bytes.Contains(log, []byte(text)) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("log lacks %q: %w", text, ctx.Err())
		case <-tick.C:
		}
	}
}

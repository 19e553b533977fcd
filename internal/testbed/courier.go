package testbed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// CourierOptions says how a Courier is configured. The zero value has users
// alice, bob and carol, password "pass".
type CourierOptions struct {
	Users    map[string]string // name to password
	Settings map[string]string // of the file imapd, beside and instead of ours
}

// Courier is a running Courier-IMAP. It keeps ports and mail when it is
// stopped.
type Courier struct {
	*server
	CertFile string // PEM of the certificate, which is its own authority
	MailDir  string // holds one home per user, in it a folder Maildir
	Options  CourierOptions

	dir  string
	port struct{ imap, imaps int }
}

var errLinuxOnly = errors.New("courier needs a mount namespace, which Linux alone has")

// Courier configures a Courier, starts it and returns when it answers. It needs
// root and the right to make a mount namespace (CAP_SYS_ADMIN).
func (b *Bed) Courier(opt CourierOptions) (*Courier, error) {
	if runtime.GOOS != "linux" {
		return nil, errLinuxOnly
	}
	if err := needRoot("courier", "it mounts its folders over those that are built into it"); err != nil {
		return nil, err
	}
	if err := need("couriertcpd", "couriertls", "makeuserdb", "authdaemond", "courier-imapd", "courier-imaplogin", "courier-imapd-conf"); err != nil {
		return nil, err
	}
	c, err := b.makeCourier(opt)
	if err != nil {
		return nil, fmt.Errorf("make courier: %w", err)
	}
	b.add(c.server)
	err = c.start()
	if errors.Is(err, syscall.EPERM) {
		err = fmt.Errorf("%w: not allowed to make a mount namespace (CAP_SYS_ADMIN)", err)
	}
	return c, err
}

func (b *Bed) makeCourier(opt CourierOptions) (*Courier, error) {
	if opt.Users == nil {
		opt.Users = map[string]string{"alice": "pass", "bob": "pass", "carol": "pass"}
	}
	opt.Users = maps.Clone(opt.Users)
	name, dir, err := b.folder("i")
	if err != nil {
		return nil, err
	}
	cert, err := b.tls()
	if err != nil {
		return nil, err
	}
	c := &Courier{CertFile: cert.certFile, MailDir: filepath.Join(dir, "mail"), Options: opt, dir: dir}
	for _, p := range []*int{&c.port.imap, &c.port.imaps} {
		if *p, err = b.port(); err != nil {
			return nil, err
		}
	}
	if err := c.configure(cert); err != nil {
		return nil, err
	}
	c.server = &server{
		name: "courier " + name, dir: dir, out: filepath.Join(dir, "log"),
		argv: []string{"/bin/sh", c.file("start")}, enclosed: true,
		ready: func(ctx context.Context) error {
			if err := greets(ctx, c.IMAP(), "* OK"); err != nil {
				return err
			}
			if err := takes(ctx, c.IMAPS()); err != nil {
				return err
			}
			_, err := os.Stat(c.file("run/courier/authdaemon/socket")) // without it logins fail
			return err
		},
	}
	return c, nil
}

func (c *Courier) file(name string) string { return filepath.Join(c.dir, name) }

// IMAP returns the address that speaks IMAP with STARTTLS.
func (c *Courier) IMAP() string { return loopback(c.port.imap) }

// IMAPS returns the address that speaks IMAP over TLS.
func (c *Courier) IMAPS() string { return loopback(c.port.imaps) }

// Start starts the server again on the same ports, after Stop or Kill.
func (c *Courier) Start() error { return c.start() }

package testbed

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
)

// CyrusOptions says how a Cyrus is configured. The zero value has users alice,
// bob and carol, password "pass", and folders below "INBOX.".
type CyrusOptions struct {
	Users         map[string]string // name to password
	AdminUser     string            // default "cyrus"; may create for others and act for them
	AdminPassword string            // default "cyruspass"
	ProxyUser     string            // default "proxy"; may act for others by PLAIN authzid
	ProxyPassword string            // default "proxypass"

	AltNamespace bool   // folders stand beside INBOX, without a prefix
	Separator    string // "." (default) or "/"
	Idle         string // "idled" (default): changes are told at once; "poll": within a second; "off": no IDLE

	Settings map[string]string // of imapd.conf, beside and instead of ours
}

// Cyrus is a running Cyrus. It keeps ports and mail when it is stopped.
type Cyrus struct {
	*server
	CertFile string // PEM of the certificate, which is its own authority
	Options  CyrusOptions

	dir  string
	port struct{ imap, imaps int }
}

// Cyrus configures a Cyrus, starts it and returns when it answers and all
// users have an INBOX. It needs root.
func (b *Bed) Cyrus(opt CyrusOptions) (*Cyrus, error) {
	if err := needRoot("cyrus", "its master drops to the user cyrus"); err != nil {
		return nil, err
	}
	if err := need("cyrmaster", "ctl_cyrusdb", "saslpasswd2", "cyrus-imapd", "cyrus-idled"); err != nil {
		return nil, err
	}
	c, err := b.makeCyrus(opt.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("make cyrus: %w", err)
	}
	b.add(c.server)
	if err := c.start(); err != nil {
		return c, err
	}
	return c, c.createInboxes()
}

func (o CyrusOptions) withDefaults() CyrusOptions {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.AdminUser, "cyrus")
	def(&o.AdminPassword, "cyruspass")
	def(&o.ProxyUser, "proxy")
	def(&o.ProxyPassword, "proxypass")
	def(&o.Separator, ".")
	def(&o.Idle, "idled")
	if o.Users == nil {
		o.Users = map[string]string{"alice": "pass", "bob": "pass", "carol": "pass"}
	}
	o.Users = maps.Clone(o.Users)
	return o
}

func (b *Bed) makeCyrus(opt CyrusOptions) (*Cyrus, error) {
	name, dir, err := b.folder("c")
	if err != nil {
		return nil, err
	}
	if len(filepath.Join(dir, "conf")) > maxRunDir {
		return nil, fmt.Errorf("%s: %w", dir, errLongPath)
	}
	cert, err := b.tls()
	if err != nil {
		return nil, err
	}
	c := &Cyrus{CertFile: cert.certFile, Options: opt, dir: dir}
	for _, p := range []*int{&c.port.imap, &c.port.imaps} {
		if *p, err = b.port(); err != nil {
			return nil, err
		}
	}
	if err := c.configure(cert); err != nil {
		return nil, err
	}
	master, err := binary("cyrmaster")
	if err != nil {
		return nil, err
	}
	c.server = &server{
		name: "cyrus " + name, dir: dir, lifeline: true, out: filepath.Join(dir, "log"),
		argv:  []string{master, "-C", c.file("imapd.conf"), "-M", c.file("cyrus.conf"), "-p", c.file("pid"), "-l", "128"},
		ready: c.ready,
	}
	return c, nil
}

// ready waits for idled too: a session that does not find it falls back to
// looking once in a second.
func (c *Cyrus) ready(ctx context.Context) error {
	if c.Options.Idle == "idled" {
		if _, err := os.Stat(c.idleSocket()); err != nil {
			return err
		}
	}
	return greets(ctx, c.IMAP(), "* OK")
}

func (c *Cyrus) idleSocket() string { return c.file("conf/socket/idle") }

// Start starts the server again on the same ports, after Stop or Kill.
func (c *Cyrus) Start() error {
	if c.PID() == 0 {
		_ = os.Remove(c.idleSocket()) // a killed idled leaves it behind
	}
	return c.start()
}

func (c *Cyrus) file(name string) string { return filepath.Join(c.dir, name) }

// IMAP returns the address that speaks IMAP with STARTTLS.
func (c *Cyrus) IMAP() string { return loopback(c.port.imap) }

// IMAPS returns the address that speaks IMAP over TLS.
func (c *Cyrus) IMAPS() string { return loopback(c.port.imaps) }

// Admin enters as the admin, who sees all users' folders.
func (c *Cyrus) Admin(ctx context.Context) (*Client, error) {
	return Login(ctx, c.IMAP(), c.Options.AdminUser, c.Options.AdminPassword)
}

// Root returns the name by which the admin knows a user's INBOX.
func (c *Cyrus) Root(user string) string { return "user" + c.Options.Separator + user }

func (c *Cyrus) createInboxes() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	admin, err := c.Admin(ctx)
	if err != nil {
		return fmt.Errorf("create inboxes: %w", err)
	}
	defer admin.Close()
	for user := range c.Options.Users {
		if _, err := admin.Do("CREATE ", Quote(c.Root(user))); err != nil {
			return fmt.Errorf("create inbox of %s: %w", user, err)
		}
	}
	return admin.Logout()
}

package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Program is any command that serves at an address; its output is its log.
type Program struct {
	*server
	addr string
}

// Program starts argv and returns when it takes connections at addr.
func (b *Bed) Program(addr string, argv ...string) (*Program, error) {
	name, dir, err := b.folder("p")
	if err != nil {
		return nil, fmt.Errorf("make program: %w", err)
	}
	return b.serve(name, dir, addr, argv...)
}

// serve starts a server that has a name and a folder.
func (b *Bed) serve(name, dir, addr string, argv ...string) (*Program, error) {
	p := &Program{addr: addr}
	p.server = &server{
		name: filepath.Base(argv[0]) + " " + name, argv: argv, dir: dir, out: filepath.Join(dir, "stderr"),
		ready: func(ctx context.Context) error { return takes(ctx, addr) },
	}
	b.add(p.server)
	return p, p.start()
}

// configured writes text as the configuration of a server that listens at a new
// port, starts argv with the file's name added, and waits until it answers.
func (b *Bed) configured(kind string, text func(dir, addr string, cert *certificate) (string, error), argv ...string) (*Program, error) {
	bin, err := binary(argv[0])
	if err != nil {
		return nil, err
	}
	name, dir, err := b.folder(kind)
	if err != nil {
		return nil, err
	}
	port, err := b.port()
	if err != nil {
		return nil, err
	}
	cert, err := b.tls()
	if err != nil {
		return nil, err
	}
	conf, err := text(dir, loopback(port), cert)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return b.serve(name, dir, loopback(port), append(append([]string{bin}, argv[1:]...), file)...)
}

// Addr returns the address as host:port.
func (p *Program) Addr() string { return p.addr }

// Certificate returns the files of the bed's certificate, which is its own
// authority, and of its key.
func (b *Bed) Certificate() (certFile, keyFile string, err error) {
	c, err := b.tls()
	if err != nil {
		return "", "", err
	}
	return c.certFile, c.keyFile, nil
}
